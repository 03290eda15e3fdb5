//! Modules that come and go.

use super::*;

const LOOK: Duration = Duration::from_millis(250);

#[test]
fn a_module_that_is_not_loaded_is_waited_for() {
    let mut bench = bench();
    bench.want(vec![wanted("libx.so!f")]);
    let status = bench.statuses().remove(0);
    assert_eq!(status.state, State::Pending);
    assert!(status.warnings[0].contains("`libx.so`"), "{status:?}");
    // A second in which nothing was observed has a row that says so.
    bench.later(SECOND);
    let row = bench.outbox.take().coverage.remove(0);
    assert_eq!((row.observed_ms, row.hits), (0, 0));

    bench.binder.load("libx.so!f", &[0x7000]);
    bench.later(LOOK);
    let status = bench.statuses().remove(0);
    assert_eq!((status.state, status.bound.len()), (State::Bound, 1));
    assert!(
        status.warnings[0].contains("was not observed"),
        "{status:?}"
    );
    bench.later(LOOK);
    assert_eq!(bench.states(), [], "no news");
    assert_eq!(bench.tracer.calls(), ["arm 0x7000"]);
}

#[test]
fn what_is_pending_expires_and_is_removed_like_the_rest() {
    let mut bench = bench();
    let mut short = wanted("libx.so!f");
    short.expires_in_ms = 1500;
    bench.want(vec![short.clone(), wanted("liby.so!f")]);
    bench.outbox.take();
    bench.want(vec![short]);
    let status = bench.statuses().remove(0);
    assert_eq!((status.state, status.warnings.len()), (State::Removed, 0));
    bench.later(2 * SECOND);
    assert_eq!(bench.states(), [State::Expired]);
    assert!(bench.tracer.calls().is_empty());
}

#[test]
fn a_library_without_the_line_is_an_error_when_it_is_loaded() {
    let mut bench = bench();
    bench.want(vec![wanted("libx.so!f")]);
    bench.outbox.take();
    // It may be in the middle of being loaded.
    bench.binder.load("libx.so", &[]);
    bench.later(LOOK);
    assert_eq!(bench.states(), []);
    for _ in 0..4 {
        bench.later(LOOK);
    }
    let status = bench.statuses().remove(0);
    assert_eq!(status.state, State::Error);
    assert_eq!(status.error.unwrap().code, "no_such_line");
}

#[test]
fn what_is_unloaded_is_waited_for_and_goes_on_counting() {
    let mut bench = bench();
    let mut action = wanted("libx.so!f");
    action.spec.max_hits = Some(10);
    bench.binder.know("libx.so!f", &[0x7000]);
    bench.want(vec![action]);
    bench.tracer.hit(bench.tracer.slot_at(0x7000), 4);
    bench.step();
    bench.outbox.take();

    bench.tracer.lose(&[0x7000]);
    bench.binder.forget("libx.so!f");
    bench.later(LOOK);
    let status = bench.statuses().remove(0);
    assert_eq!((status.state, status.counts.kept), (State::Pending, 4));
    assert!(bench.tracer.armed().is_empty());

    bench.binder.load("libx.so!f", &[0x8000]);
    bench.later(LOOK);
    let status = bench.statuses().remove(0);
    assert_eq!((status.state, status.counts.kept), (State::Bound, 4));
    assert_eq!(bench.tracer.armed()[0].limit, Some(6));
}

#[test]
fn what_is_loaded_later_is_added_and_the_rest_stays_planted() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    bench.binder.load("a", &[0x1000, 0x9000]);
    bench.later(LOOK);
    let status = bench.statuses().remove(0);
    assert_eq!((status.state, status.bound.len()), (State::Bound, 2));
    // It goes away again, with a hit of it still in the ring.
    bench.tracer.lose(&[0x9000]);
    bench.tracer.hit_at(bench.tracer.slot_at(0x9000), 1);
    bench.binder.load("a", &[0x1000]);
    bench.later(LOOK);
    let parcel = bench.outbox.take();
    assert_eq!(parcel.logs.len(), 1);
    assert_eq!(parcel.statuses[0].bound.len(), 1);
    // The same place again, as after an unloading that was too short to be seen.
    bench.tracer.lose(&[0x1000]);
    bench.later(LOOK);
    assert_eq!(
        bench.tracer.calls(),
        [
            "arm 0x1000",
            "amend - +0x9000",
            "amend -0x9000 +",
            "amend -0x1000 +0x1000"
        ]
    );
}

#[test]
fn a_place_that_is_refused_while_its_library_is_loaded_is_tried_again() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    let half_loaded = || TracerError::TextNotPrivate {
        address: 0x9000,
        mapping: "not executable".to_owned(),
    };
    bench.tracer.refuse(half_loaded());
    bench.binder.load("a", &[0x1000, 0x9000]);
    bench.later(LOOK);
    assert_eq!(bench.statuses().remove(0).bound.len(), 1);
    bench.later(LOOK);
    assert_eq!(bench.statuses().remove(0).bound.len(), 2);

    // Not for ever.
    bench.binder.load("a", &[0x1000, 0x9000, 0xa000]);
    for _ in 0..20 {
        bench.tracer.refuse(TracerError::NoTwin { address: 0xa000 });
    }
    for _ in 0..20 {
        bench.later(LOOK);
    }
    let tries = bench.tracer.calls();
    let tries = tries.iter().filter(|call| call.ends_with("+0xa000"));
    assert!((2..=5).contains(&tries.count()));
}

#[test]
fn an_address_is_not_looked_for_elsewhere() {
    let mut bench = bench();
    bench.binder.know("0x7000", &[0x7000]);
    bench.want(vec![wanted("0x7000")]);
    bench.outbox.take();
    bench.tracer.lose(&[0x7000]);
    bench.later(LOOK);
    let status = bench.statuses().remove(0);
    assert_eq!(status.state, State::Error);
    assert_eq!(status.error.unwrap().code, "no_such_address");
    assert!(bench.tracer.armed().is_empty());
}
