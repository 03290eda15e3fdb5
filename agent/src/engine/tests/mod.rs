mod counts;
mod endings;
mod events;
mod libraries;
mod states;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lr_protocol::{
    ActionKind, ActionStatus, CounterSpec, End, EndReason, Output, State, WantedAction,
    WantedActions,
};
use lr_tracer::{Ended, Mode, SlotCounters, TracerError};

use super::fake::{FakeBinder, FakeRecord, FakeTracer, wanted};
use super::{Engine, Target, Trace, Writer};
use crate::host::ProcessFacts;
use crate::orders::Orders;
use crate::outbox::{Limits, Outbox, Parcel};

/// An engine on a tracer in memory, stepped by hand. Its target is this process, which lives.
pub(super) struct Bench {
    pub(super) tracer: FakeTracer,
    pub(super) binder: FakeBinder,
    orders: Arc<Orders>,
    pub(super) outbox: Arc<Outbox>,
    engine: Engine,
    now: Instant,
}

pub(super) fn bench() -> Bench {
    bench_with(Limits::default())
}

fn bench_with(limits: Limits) -> Bench {
    let (tracer, binder) = (FakeTracer::default(), FakeBinder::default());
    let orders = Arc::new(Orders::default());
    let outbox = Arc::new(Outbox::new(limits));
    let target = Target::new(&ProcessFacts::read(std::process::id()).unwrap());
    let started = tracer.clone();
    let mut engine = Engine::new(
        target,
        Writer {
            agent_id: "agent".to_owned(),
            process_id: "7-8".to_owned(),
            pid: 7,
            owner: Some(nix::unistd::geteuid().as_raw()),
            stdout: None,
        },
        Box::new(binder.clone()),
        Box::new(move || Ok(Box::new(started.clone()) as Box<dyn Trace>)),
        Arc::clone(&orders),
        Arc::clone(&outbox),
    );
    // How long a look takes on a busy machine changes nothing here: time is told by the tests.
    engine.look_share = 0;
    binder.know("a", &[0x1000]);
    binder.know("b", &[0x2000]);
    Bench {
        tracer,
        binder,
        orders,
        outbox,
        engine,
        now: Instant::now(),
    }
}

impl Bench {
    pub(super) fn want(&mut self, actions: Vec<WantedAction>) {
        let wanted = WantedActions {
            revision: 1,
            actions,
            detach: false,
        };
        self.orders.want(wanted, self.now);
        self.step();
    }

    fn step(&mut self) {
        let end = self.engine.step(self.now);
        assert_eq!(end, None);
    }

    pub(super) fn later(&mut self, time: Duration) {
        self.now += time;
        self.step();
    }

    fn ends(&mut self) -> End {
        self.engine.step(self.now).expect("it does not end")
    }

    /// The statuses that wait to be sent, and nothing else of the parcel.
    fn statuses(&self) -> Vec<ActionStatus> {
        self.outbox.take().statuses
    }

    fn states(&self) -> Vec<State> {
        states(&self.outbox.take())
    }
}

fn states(parcel: &Parcel) -> Vec<State> {
    parcel.statuses.iter().map(|status| status.state).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn hits_while_arming_are_not_lost() {
    let mut bench = bench();
    bench.tracer.hit_while_arming(3);
    bench.want(vec![wanted("a")]);
    assert_eq!(bench.outbox.take().logs.len(), 3);
}

#[test]
fn an_action_is_bound_hit_counted_and_removed() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    let statuses = bench.statuses();
    assert_eq!(statuses[0].state, State::Bound);
    assert_eq!(statuses[0].bound[0].address, "0x1000");
    assert_eq!(statuses[0].bound[0].resume, "emulate");

    bench.tracer.hit(bench.tracer.slot_at(0x1000), 2);
    bench.step();
    let parcel = bench.outbox.take();
    let messages: Vec<&str> = parcel.logs.iter().map(|log| log.message.as_str()).collect();
    assert_eq!(messages, ["payload in 1", "payload in 1"]);
    assert_eq!(parcel.logs[0].ts, 1000);
    assert_eq!(parcel.logs[0].function, "process");
    assert_eq!(states(&parcel), [State::Hit]);

    bench.want(vec![]);
    let parcel = bench.outbox.take();
    assert_eq!(states(&parcel), [State::Removed]);
    assert_eq!(parcel.statuses[0].counts.kept, 2);
    assert_eq!(bench.tracer.calls(), ["arm 0x1000", "disarm 0x1000"]);
}

#[test]
fn hits_between_the_last_look_and_the_removal_are_told() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    bench.outbox.take();
    let slot = bench.tracer.slot_at(0x1000);
    bench.orders.want(WantedActions::default(), bench.now);
    bench.tracer.hit(slot, 3);
    bench.step();
    let parcel = bench.outbox.take();
    assert_eq!(parcel.logs.len(), 3);
    assert_eq!(parcel.statuses[0].counts.hits, 3);
    let hits: u64 = parcel.coverage.iter().map(|row| row.hits).sum();
    assert_eq!(hits, 3);
}

#[test]
fn what_cannot_be_bound_says_so_and_harms_no_other() {
    let mut bench = bench();
    bench.want(vec![wanted("nowhere"), wanted("a")]);
    let statuses = bench.statuses();
    let of = |id: &str| {
        let mut statuses = statuses.iter();
        statuses.find(|status| status.action_id == id).unwrap()
    };
    assert_eq!(of("a").state, State::Bound);
    assert_eq!(of("nowhere").state, State::Error);
    assert_eq!(
        of("nowhere").error.as_ref().unwrap().code,
        "no_such_function"
    );
    // Its error is final: its removal is no news.
    bench.want(vec![wanted("a")]);
    assert_eq!(bench.states(), []);
}

#[test]
fn one_bad_place_does_not_keep_the_others_from_being_planted() {
    let mut bench = bench();
    bench.binder.know("a", &[0x1000, 0x1100, 0x1200]);
    bench.tracer.refuse(TracerError::TextPatched {
        address: 0x1100,
        expected: 0x90,
        found: 0xcc,
    });
    bench.want(vec![wanted("a")]);
    let status = bench.statuses().remove(0);
    assert_eq!((status.state, status.bound.len()), (State::Bound, 2));
    assert!(status.warnings[0].contains("0x1100"), "{status:?}");
    assert_eq!(bench.tracer.calls(), ["arm 0x1000 0x1200"]);

    bench.tracer.refuse(TracerError::TextPatched {
        address: 0x2000,
        expected: 0x90,
        found: 0xcc,
    });
    bench.want(vec![wanted("a"), wanted("b")]);
    let status = bench.statuses().remove(0);
    assert_eq!(status.state, State::Error);
    assert_eq!(status.error.unwrap().code, "text_patched");

    // Neither does a refusal end in asking for the same again: this one is about no place of it.
    bench.binder.know("c", &[0x3000, 0x3100]);
    bench.tracer.refuse(TracerError::TextPatched {
        address: 0x9000,
        expected: 0x90,
        found: 0xcc,
    });
    bench.want(vec![wanted("a"), wanted("b"), wanted("c")]);
    assert_eq!(bench.statuses().remove(0).state, State::Error);
}

#[test]
fn an_edit_takes_the_old_version_out_first() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    bench.tracer.hit(bench.tracer.slot_at(0x1000), 5);
    bench.step();
    bench.outbox.take();
    let mut edited = wanted("a");
    edited.version = 2;
    bench.binder.know("a", &[0x1080]);
    bench.want(vec![edited]);
    let status = bench.statuses().remove(0);
    assert_eq!((status.action_version, status.state), (2, State::Bound));
    assert_eq!(status.counts.hits, 0);
    assert_eq!(
        bench.tracer.calls(),
        ["arm 0x1000", "disarm 0x1000", "arm 0x1080"]
    );
}

#[test]
fn disabling_takes_it_out_and_enabling_goes_on_counting() {
    let mut bench = bench();
    let mut action = wanted("a");
    action.spec.max_hits = Some(10);
    bench.want(vec![action.clone()]);
    bench.tracer.hit(bench.tracer.slot_at(0x1000), 4);
    bench.step();
    bench.outbox.take();

    action.enabled = false;
    bench.want(vec![action.clone()]);
    assert_eq!(bench.states(), [State::Disabled]);
    assert!(bench.tracer.armed().is_empty());

    action.enabled = true;
    bench.want(vec![action]);
    let status = bench.statuses().remove(0);
    assert_eq!((status.state, status.counts.kept), (State::Bound, 4));
    assert_eq!(bench.tracer.armed()[0].limit, Some(6));
}

#[test]
fn an_action_that_comes_disabled_is_not_planted() {
    let mut bench = bench();
    let mut action = wanted("a");
    action.enabled = false;
    bench.want(vec![action]);
    assert_eq!(bench.states(), [State::Disabled]);
    assert!(bench.tracer.calls().is_empty());
}

#[test]
fn the_limit_ends_an_action_behind_its_last_event() {
    let mut bench = bench();
    let mut action = wanted("a");
    (action.spec.max_hits, action.hits_left) = (Some(3), Some(2));
    bench.want(vec![action.clone()]);
    assert_eq!(bench.tracer.armed()[0].limit, Some(2));
    let slot = bench.tracer.slot_at(0x1000);
    bench.tracer.hit(slot, 2);
    bench.tracer.tell(FakeRecord::Done(slot));
    bench.step();
    let parcel = bench.outbox.take();
    assert_eq!(parcel.logs.len(), 2);
    assert_eq!(states(&parcel), [State::Done]);
    assert_eq!(parcel.statuses[0].counts.kept, 2);
    // Still wanted, it is not planted again; no longer wanted, it stays done.
    bench.want(vec![action]);
    bench.want(vec![]);
    assert_eq!(bench.states(), []);
    assert_eq!(bench.tracer.calls(), ["arm 0x1000", "disarm 0x1000"]);
}

#[test]
fn an_action_expires_by_the_agents_own_clock() {
    let mut bench = bench();
    let mut action = wanted("a");
    action.expires_in_ms = 1500;
    bench.want(vec![action]);
    bench.later(SECOND);
    assert_eq!(bench.states(), [State::Bound]);
    bench.later(SECOND);
    assert_eq!(bench.states(), [State::Expired]);
    assert!(bench.tracer.armed().is_empty());
    // Long dead when it comes, it is never planted.
    let mut late = wanted("b");
    late.expires_in_ms = 0;
    bench.want(vec![late]);
    assert_eq!(bench.states(), [State::Expired]);
    assert!(bench.tracer.armed().is_empty());
}

#[test]
fn a_rate_is_a_positive_number() {
    let mut bench = bench();
    let rate = |id: &str, rate: f64| {
        let mut action = wanted(id);
        action.spec.rate = Some(rate);
        action
    };
    bench.want(vec![rate("a", 0.0), rate("b", 0.1)]);
    let statuses = bench.statuses();
    assert_eq!(statuses[0].error.as_ref().unwrap().code, "bad_request");
    assert_eq!(statuses[1].state, State::Bound);
    let armed = bench.tracer.armed().remove(0).rate.unwrap();
    assert!((armed.per_second - 0.1).abs() < 1e-9 && (armed.burst - 1.0).abs() < 1e-9);
    bench.want(vec![]);
    bench.want(vec![wanted("a")]);
    let armed = bench.tracer.armed().remove(0).rate.unwrap();
    assert!((armed.per_second - 50.0).abs() < 1e-9 && (armed.burst - 100.0).abs() < 1e-9);
}

#[test]
fn records_of_a_slot_that_nobody_holds_are_left_out() {
    let mut bench = bench();
    bench.want(vec![wanted("a")]);
    let slot = bench.tracer.slot_at(0x1000);
    bench.want(vec![]);
    bench.outbox.take();
    bench.tracer.hit(slot, 1);
    bench.tracer.tell(FakeRecord::Done(slot));
    bench.tracer.tell(FakeRecord::Paused(slot));
    bench.step();
    assert!(bench.outbox.take().logs.is_empty());
}
