//! What is counted in the tracer.

use super::*;

fn counter(action_id: &str) -> WantedAction {
    let mut action = wanted(action_id);
    action.spec.kind = ActionKind::Counter(CounterSpec {
        location: action_id.to_owned(),
        by: Some("x".to_owned()),
    });
    action
}

#[test]
fn what_is_counted_is_told_each_second_and_at_the_end() {
    let mut bench = bench();
    bench.want(vec![counter("a")]);
    let slot = bench.tracer.slot_at(0x1000);
    assert!(matches!(bench.tracer.armed()[0].mode, Mode::Aggregate(_)));
    bench.outbox.take();
    bench.tracer.count_group(slot, b"de", 3);
    bench.later(Duration::from_secs(1));
    let parcel = bench.outbox.take();
    let told = |parcel: &Parcel| -> Vec<(Option<String>, u64)> {
        let rows = parcel.metrics.iter();
        rows.map(|row| (row.group.clone(), row.count)).collect()
    };
    assert_eq!(told(&parcel), [(Some("de".to_owned()), 3)]);
    assert_eq!(states(&parcel), [State::Hit]);
    assert_eq!(parcel.overhead[0].stops, 3);
    // A second in which nothing happened has its row.
    bench.later(Duration::from_secs(1));
    assert_eq!(told(&bench.outbox.take()), [(None, 0)]);
    bench.tracer.count_group(slot, b"fr", 2);
    bench.want(vec![]);
    let parcel = bench.outbox.take();
    assert_eq!(told(&parcel), [(Some("fr".to_owned()), 2)]);
    assert_eq!(parcel.statuses[0].counts.kept, 5);
}

#[test]
fn what_a_dead_tracer_had_counted_is_a_loss() {
    let mut bench = bench();
    bench.want(vec![counter("a")]);
    let slot = bench.tracer.slot_at(0x1000);
    bench.tracer.count_group(slot, b"de", 3);
    bench.later(Duration::from_secs(1));
    bench.tracer.count(slot, |counters| {
        counters.hits += 4;
        counters.kept += 4;
    });
    bench.outbox.take();
    bench.tracer.die();
    bench.now += Duration::from_secs(1);
    bench.ends();
    let parcel = bench.outbox.take();
    assert!(parcel.metrics.is_empty());
    let losses: Vec<(&str, u64)> = parcel
        .losses
        .iter()
        .map(|loss| (loss.reason.as_str(), loss.count))
        .collect();
    assert_eq!(losses, [("tracer_died", 4)]);
}

#[test]
fn hits_whose_row_is_refused_are_not_kept() {
    let mut bench = bench_with(Limits {
        events: 1,
        ..Limits::default()
    });
    bench.want(vec![counter("a")]);
    let slot = bench.tracer.slot_at(0x1000);
    // Two groups, and room for a row of one.
    bench.tracer.count_group(slot, b"de", 3);
    bench.tracer.count_group(slot, b"fr", 4);
    bench.later(Duration::from_secs(1));
    let parcel = bench.outbox.take();
    assert_eq!(parcel.metrics[0].count, 3);
    let counts = parcel.statuses[0].counts;
    assert_eq!((counts.hits, counts.kept, counts.dropped), (7, 3, 4));
    let row = &parcel.coverage[0];
    assert_eq!((row.hits, row.kept, row.dropped), (7, 3, 4));
    assert_eq!(
        (parcel.losses[0].reason.as_str(), parcel.losses[0].count),
        ("queue_full", 4)
    );
}
