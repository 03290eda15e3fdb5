//! The states that are told of an action.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

/// What is told until there is something to plant, when the tracer is started.
fn told_before_planting(bench: &mut Bench) -> Rc<RefCell<Vec<State>>> {
    let (outbox, tracer) = (Arc::clone(&bench.outbox), bench.tracer.clone());
    let told = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&told);
    bench.engine.start_tracer = Box::new(move || {
        seen.borrow_mut().extend(states(&outbox.take()));
        Ok(Box::new(tracer.clone()) as Box<dyn Trace>)
    });
    told
}

#[test]
fn an_action_is_verified_before_anything_is_planted() {
    let mut bench = bench();
    let told = told_before_planting(&mut bench);
    bench.want(vec![wanted("a")]);
    assert_eq!(*told.borrow(), [State::Verified]);
    assert_eq!(bench.states(), [State::Bound]);
}

type Way = (State, fn(&mut Bench));

/// Every state that an agent tells, and what leads to it.
const WAYS: [Way; 11] = [
    (State::Verified, |bench| bench.want(vec![wanted("a")])),
    (State::Pending, |bench| {
        bench.want(vec![wanted("libx.so!f")])
    }),
    (State::Bound, |bench| bench.want(vec![wanted("a")])),
    (State::Hit, |bench| {
        bench.want(vec![wanted("a")]);
        bench.tracer.hit(bench.tracer.slot_at(0x1000), 1);
        bench.step();
    }),
    (State::Paused, |bench| {
        bench.want(vec![wanted("a")]);
        let slot = bench.tracer.slot_at(0x1000);
        bench.tracer.tell(FakeRecord::Paused(slot));
        bench.step();
    }),
    (State::Done, |bench| {
        bench.want(vec![wanted("a")]);
        let slot = bench.tracer.slot_at(0x1000);
        bench.tracer.tell(FakeRecord::Done(slot));
        bench.step();
    }),
    (State::Expired, |bench| {
        bench.want(vec![wanted("a")]);
        bench.later(Duration::from_secs(25 * 3600));
    }),
    (State::Disabled, |bench| {
        let mut action = wanted("a");
        bench.want(vec![action.clone()]);
        action.enabled = false;
        bench.want(vec![action]);
    }),
    (State::Error, |bench| bench.want(vec![wanted("nowhere")])),
    (State::Removed, |bench| {
        bench.want(vec![wanted("a")]);
        bench.want(vec![]);
    }),
    (State::Gone, |bench| {
        bench.want(vec![wanted("a")]);
        bench.tracer.tell(FakeRecord::Ended(Ended::Gone));
        bench.ends();
    }),
];

#[test]
fn every_state_is_reached_and_told() {
    for (state, lead_there) in WAYS {
        let mut bench = bench();
        // A status replaces the one before it that was not sent yet: they are taken in between.
        let told = told_before_planting(&mut bench);
        lead_there(&mut bench);
        let parcel = bench.outbox.take();
        told.borrow_mut().extend(states(&parcel));
        assert!(told.borrow().contains(&state), "{state:?}: {told:?}");
        let planted = !bench.tracer.armed().is_empty();
        let may_be = matches!(
            state,
            State::Verified | State::Bound | State::Hit | State::Paused | State::Gone
        );
        assert_eq!(planted, may_be, "{state:?}");
        for status in parcel.statuses {
            assert_eq!(status.error.is_some(), state == State::Error, "{status:?}");
            assert_eq!(status.paused_until.is_some(), state == State::Paused);
        }
    }
}
