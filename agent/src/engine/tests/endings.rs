//! What is left behind: by a server, a target, a tracer.

use super::*;

#[test]
fn a_server_that_forgot_is_told_everything() {
    let mut bench = bench();
    bench.want(vec![wanted("a"), wanted("nowhere")]);
    bench.outbox.take();
    bench.orders.report_all();
    bench.step();
    assert_eq!(bench.states(), [State::Bound, State::Error]);
    assert_eq!(bench.tracer.calls(), ["arm 0x1000"]);
}

#[test]
fn finishing_puts_everything_back_first() {
    let mut bench = bench();
    bench.want(vec![wanted("a"), wanted("b")]);
    bench.outbox.take();
    bench.tracer.hit(bench.tracer.slot_at(0x2000), 1);
    bench.orders.finish(EndReason::Detached, "asked to");
    let end = bench.ends();
    assert_eq!((end.reason, end.restored), (EndReason::Detached, 3));
    assert_eq!(
        bench.tracer.calls()[2..],
        ["disarm 0x1000", "disarm 0x2000", "release"]
    );
    let parcel = bench.outbox.take();
    assert_eq!(parcel.logs.len(), 1);
    assert_eq!(states(&parcel), [State::Removed, State::Removed]);
}

#[test]
fn a_target_that_ends_takes_its_actions_along() {
    let mut bench = bench();
    bench.want(vec![wanted("a"), wanted("nowhere")]);
    bench.outbox.take();
    bench.tracer.hit(bench.tracer.slot_at(0x1000), 2);
    bench
        .tracer
        .tell(FakeRecord::Ended(Ended::Killed { signal: 9 }));
    let end = bench.ends();
    assert_eq!(end.reason, EndReason::Killed);
    assert!(end.message.contains("SIGKILL"), "{}", end.message);
    let parcel = bench.outbox.take();
    assert_eq!(parcel.logs.len(), 2);
    assert_eq!(states(&parcel), [State::Gone]);
    assert_eq!(parcel.statuses[0].counts.hits, 2);
}

#[test]
fn a_tracer_that_dies_ends_the_attachment() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    bench.outbox.take();
    bench.tracer.die();
    bench.now += SECOND;
    let end = bench.ends();
    assert_eq!(end.reason, EndReason::Failed);
    let status = bench.statuses().remove(0);
    assert_eq!(status.state, State::Error);
    assert_eq!(status.error.unwrap().code, "tracer_died");
}
