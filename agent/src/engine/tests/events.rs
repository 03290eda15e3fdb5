//! What is told of hits, and what is lost of it.

use super::*;

#[test]
fn every_second_has_a_row_also_without_a_hit() {
    let mut bench = bench();
    bench.want(vec![wanted("a"), wanted("b")]);
    bench.outbox.take();
    for second in 1..=3 {
        bench
            .tracer
            .count(bench.tracer.slot_at(0x1000), |counters| {
                counters.observed_ns = second * 1_000_000_000;
            });
        bench.later(SECOND);
    }
    let coverage = bench.outbox.take().coverage;
    let of_a: Vec<(u64, u64)> = coverage
        .iter()
        .filter(|row| row.action_id == "a")
        .map(|row| (row.observed_ms, row.hits))
        .collect();
    assert_eq!(of_a, [(1000, 0); 3]);
    assert_eq!(coverage.len(), 6);
}

#[test]
fn what_was_lost_is_told_with_its_reason() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    bench.outbox.take();
    let slot = bench.tracer.slot_at(0x1000);
    bench.tracer.count(slot, |counters| {
        *counters = SlotCounters {
            hits: 100,
            kept: 50,
            dropped: 7,
            rate_limited: 33,
            condition_error: 10,
            ..SlotCounters::default()
        };
    });
    bench.later(SECOND);
    let parcel = bench.outbox.take();
    let mut losses: Vec<(&str, u64)> = parcel
        .losses
        .iter()
        .map(|loss| (loss.reason.as_str(), loss.count))
        .collect();
    losses.sort_unstable();
    assert_eq!(
        losses,
        [
            ("condition_error", 10),
            ("rate_limited", 33),
            ("ring_full", 7)
        ]
    );
    assert_eq!(parcel.coverage[0].matched, 90);
}

#[test]
fn events_that_the_outbox_refuses_are_counted() {
    let mut bench = bench_with(Limits {
        events: 2,
        ..Limits::default()
    });
    bench.want(vec![wanted("a")]);
    bench.tracer.hit(bench.tracer.slot_at(0x1000), 5);
    bench.step();
    bench.later(SECOND);
    let parcel = bench.outbox.take();
    assert_eq!(parcel.logs.len(), 2);
    assert_eq!(parcel.losses[0].reason, "queue_full");
    assert_eq!(parcel.losses[0].count, 3);
    let counts = parcel.statuses[0].counts;
    assert_eq!((counts.hits, counts.kept, counts.dropped), (5, 2, 3));
}

#[test]
fn events_may_go_to_a_file_instead() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let mut bench = bench();
    let mut action = wanted("a");
    action.spec.output = Output::File(path.to_str().unwrap().to_owned());
    let mut unsupported = wanted("b");
    unsupported.spec.output = Output::Stdout;
    bench.want(vec![action, unsupported]);
    let states: Vec<State> = bench.states();
    assert_eq!(states, [State::Bound, State::Error]);
    bench.tracer.hit(bench.tracer.slot_at(0x1000), 2);
    bench.step();
    let parcel = bench.outbox.take();
    assert!(parcel.logs.is_empty());
    assert_eq!(parcel.statuses[0].counts.kept, 2);
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2);
}

#[test]
fn pauses_are_told() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    let slot = bench.tracer.slot_at(0x1000);
    bench.tracer.hit(slot, 1);
    bench.tracer.tell(FakeRecord::Paused(slot));
    bench.step();
    let status = bench.statuses().remove(0);
    assert_eq!(status.state, State::Paused);
    assert!(status.paused_until.unwrap() > status.updated_at);
    bench.tracer.tell(FakeRecord::Resumed(slot));
    bench.step();
    let status = bench.statuses().remove(0);
    assert_eq!((status.state, status.paused_until), (State::Hit, None));
}
