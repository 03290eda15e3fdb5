use std::cell::RefCell;
use std::rc::Rc;
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
fn an_action_is_verified_before_anything_is_planted() {
    let mut bench = bench();
    let (outbox, tracer) = (Arc::clone(&bench.outbox), bench.tracer.clone());
    let told = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&told);
    // It is started once there is something to plant.
    bench.engine.start_tracer = Box::new(move || {
        seen.borrow_mut().extend(states(&outbox.take()));
        Ok(Box::new(tracer.clone()) as Box<dyn Trace>)
    });
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
        let (outbox, tracer) = (Arc::clone(&bench.outbox), bench.tracer.clone());
        let told = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&told);
        bench.engine.start_tracer = Box::new(move || {
            seen.borrow_mut().extend(states(&outbox.take()));
            Ok(Box::new(tracer.clone()) as Box<dyn Trace>)
        });
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
