//! Threads that stand still while the agent reads, and go on as if nothing had been.

use std::time::Duration;

use lr_fixtures::{Fixture, Target, wait_until};
use lr_tracer::{ArmAction, Ended, Mode, Record, Slot, SlotCounters, Tracer};

use crate::image::{Image, at_function, read_until, tracer};

const THREADS: u64 = 6;
const HITS: u64 = 50;
/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

fn counted() -> (Target, Image) {
    counted_by(THREADS)
}

fn counted_by(threads: u64) -> (Target, Image) {
    let program = Fixture::c("counted.c").opt('2').build();
    let target = Target::spawn(&program, [threads.to_string(), HITS.to_string()]);
    let image = Image::of(&program, target.pid());
    (target, image)
}

fn holding(image: &Image, hold: Duration, limit: Option<u64>) -> ArmAction {
    ArmAction {
        mode: Mode::Hold(hold),
        limit,
        ..at_function(image, "step")
    }
}

fn round(target: &mut Target) -> String {
    target.send("go");
    target.line()
}

/// A hit whose thread was held.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Stood {
    slot: Slot,
    tid: u32,
    hits: u64,
    pc: u64,
}

impl Stood {
    fn of(record: Record<'_>) -> Option<Stood> {
        match record {
            Record::Held {
                slot,
                tid,
                hits,
                registers,
                ..
            } => Some(Stood {
                slot,
                tid,
                hits,
                pc: registers.general[16],
            }),
            _ => None,
        }
    }

    /// Whether it stood still until now.
    fn let_on(&self, tracer: &mut Tracer) -> bool {
        let stood = tracer.let_on(self.tid, self.slot, self.hits).unwrap();
        stood.is_some()
    }
}

/// The first hit whose thread is held.
fn held(tracer: &mut Tracer) -> Stood {
    read_until(tracer, "a thread that is held", Stood::of)
}

/// `None` of a thread that has ended.
fn state(target: &Target, tid: u32) -> Option<char> {
    let path = format!("/proc/{}/task/{tid}/stat", target.pid());
    let stat = std::fs::read_to_string(path).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.trim_start().chars().next()
}

pub(crate) fn a_thread_stands_still_until_it_is_let_on() {
    let (mut target, image) = counted();
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    tracer.arm(&holding(&image, LONG, Some(1))).unwrap();
    target.send("go");
    let stood = held(&mut tracer);
    assert_eq!(stood.pc, image.function("step").0);
    // The others come to their end, and it does not.
    let is_alone = || {
        let runs = |tid: &u32| state(&target, *tid) == Some('R');
        (!target.threads().iter().any(runs)).then_some(())
    };
    wait_until("the others to end", is_alone);
    assert_eq!(state(&target, stood.tid), Some('t'));
    assert!(stood.let_on(&mut tracer));
    assert_eq!(target.line(), undisturbed);
    // It is not held twice.
    assert!(!stood.let_on(&mut tracer));
    assert_eq!(tracer.counters(Slot(0)).kept, 1);
    tracer.release().unwrap();
    target.assert_clean();
    assert_eq!(round(&mut target), undisturbed);
}

pub(crate) fn a_thread_goes_on_when_its_time_is_over() {
    let (mut target, image) = counted();
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    let action = holding(&image, Duration::from_millis(15), Some(3));
    tracer.arm(&action).unwrap();
    // Nobody lets it on.
    assert_eq!(round(&mut target), undisturbed);
    let stood = held(&mut tracer);
    assert!(!stood.let_on(&mut tracer));
    assert_eq!(tracer.counters(Slot(0)).kept, 3);
    // It is charged when the thread runs again.
    wait_until("what it cost", || {
        (tracer.counters(Slot(0)).max_stop_ns >= 15_000_000).then_some(())
    });
    tracer.release().unwrap();
    target.assert_clean();
}

/// The agent of a loaded machine is late: the hit that it lets on is over, and its thread stands
/// still for the next one.
pub(crate) fn who_is_late_does_not_let_the_next_hit_on() {
    // As many as may be held.
    let (mut target, image) = counted_by(2);
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    let action = ArmAction {
        ignore_quota: true,
        ..holding(&image, Duration::from_millis(200), None)
    };
    tracer.arm(&action).unwrap();
    target.send("go");
    let mut late = held(&mut tracer);
    // Again where the next one is over too, before we came to it.
    wait_until("one that stands still after the late one", || {
        let next = read_until(&mut tracer, "it to be held again", |record| {
            Stood::of(record).filter(|stood| stood.tid == late.tid)
        });
        assert_ne!(next.hits, late.hits);
        assert!(!late.let_on(&mut tracer));
        late = next;
        next.let_on(&mut tracer).then_some(())
    });
    tracer.release().unwrap();
    assert_eq!(target.line(), undisturbed);
    target.assert_clean();
}

/// A stop that several wait for is paid by each of them, not by the last one alone.
pub(crate) fn who_share_a_stop_share_its_cost() {
    const HOLD_NS: u64 = 50_000_000;
    let (mut target, image) = counted();
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    let hold = Duration::from_nanos(HOLD_NS);
    for slot in [Slot(0), Slot(1)] {
        let action = ArmAction {
            slot,
            ..holding(&image, hold, Some(1))
        };
        tracer.arm(&action).unwrap();
    }
    target.send("go");
    // The first lets it on at once, and it stands still for the other until its time is over.
    let first = read_until(&mut tracer, "the first slot's hit", |record| {
        Stood::of(record).filter(|stood| stood.slot == Slot(0))
    });
    first.let_on(&mut tracer);
    assert_eq!(target.line(), undisturbed);
    // It is charged when the thread runs again.
    wait_until("each to have its share", || {
        let counters = [0, 1].map(|slot| tracer.counters(Slot(slot)));
        let has_share = |counters: &SlotCounters| {
            counters.stop_ns >= HOLD_NS / 2 && counters.max_stop_ns >= HOLD_NS
        };
        counters.iter().all(has_share).then_some(())
    });
    tracer.release().unwrap();
    target.assert_clean();
}

pub(crate) fn each_hit_of_a_holding_action_is_kept_or_counted() {
    let (mut target, image) = counted();
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    tracer.arm(&holding(&image, LONG, None)).unwrap();
    target.send("go");
    let mut let_on = 0;
    let expected = THREADS * HITS;
    wait_until("every hit", || {
        tracer.wait(Duration::from_millis(1));
        let mut standing = Vec::new();
        while let Some(record) = tracer.next_record() {
            standing.extend(Stood::of(record));
        }
        for stood in standing {
            assert!(stood.let_on(&mut tracer));
            let_on += 1;
        }
        // A hit is counted a moment before what became of it.
        let counters = tracer.counters(Slot(0));
        (counters.kept + counters.dropped == expected).then_some(())
    });
    let counters = tracer.counters(Slot(0));
    assert_eq!(counters.hits, expected);
    // Some of the last may be held still.
    assert!(
        let_on > 0 && let_on <= counters.kept,
        "{let_on} {counters:?}"
    );
    tracer.release().unwrap();
    assert_eq!(target.line(), undisturbed);
    target.assert_clean();
}

pub(crate) fn losing_the_agent_lets_all_on() {
    let (mut target, image) = counted();
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    tracer.arm(&holding(&image, LONG, Some(2))).unwrap();
    target.send("go");
    held(&mut tracer);
    drop(tracer);
    assert_eq!(target.line(), undisturbed);
    target.assert_clean();
}

pub(crate) fn taking_the_action_away_lets_all_on() {
    let (mut target, image) = counted();
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    tracer.arm(&holding(&image, LONG, Some(2))).unwrap();
    target.send("go");
    held(&mut tracer);
    tracer.disarm(Slot(0)).unwrap();
    assert_eq!(target.line(), undisturbed);
    target.assert_clean();
    tracer.release().unwrap();
}

pub(crate) fn a_kill_reaches_a_thread_that_stands_still() {
    let (mut target, image) = counted();
    let mut tracer = tracer(&target);
    tracer.arm(&holding(&image, LONG, Some(1))).unwrap();
    target.send("go");
    let stood = held(&mut tracer);
    target.kill();
    read_until(&mut tracer, "the end", |record| match record {
        Record::Ended(_) => Some(()),
        _ => None,
    });
    assert!(!stood.let_on(&mut tracer));
}

/// A program in whose thread something is held while its main thread waits for a line.
fn standing(program: &str) -> (Target, Tracer, Stood) {
    let program = Fixture::c(program).opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    let tick = ArmAction {
        mode: Mode::Hold(LONG),
        limit: Some(1),
        ..at_function(&image, "tick")
    };
    tracer.arm(&tick).unwrap();
    let stood = held(&mut tracer);
    (target, tracer, stood)
}

fn ended(tracer: &mut Tracer) -> Ended {
    read_until(tracer, "the end", |record| match record {
        Record::Ended(ended) => Some(ended),
        _ => None,
    })
}

pub(crate) fn children_are_born_while_a_thread_stands_still() {
    let (mut target, mut tracer, stood) = standing("beside.c");
    target.send("go");
    assert_eq!(target.line(), "born 3");
    assert!(stood.let_on(&mut tracer));
    tracer.release().unwrap();
    target.send("go");
    assert_eq!(target.line(), "born 3");
    target.assert_clean();
}

pub(crate) fn an_exec_does_not_wait_for_a_thread_that_stands_still() {
    let (mut target, mut tracer, stood) = standing("execer.c");
    target.send("go");
    assert_eq!(target.line(), "again");
    assert_eq!(ended(&mut tracer), Ended::Execed);
    assert!(!stood.let_on(&mut tracer));
}

pub(crate) fn an_exit_does_not_wait_for_a_thread_that_stands_still() {
    let (mut target, mut tracer, stood) = standing("exiter.c");
    target.send("go");
    assert_eq!(target.ended().code(), Some(7));
    assert_eq!(ended(&mut tracer), Ended::Exited { status: 7 });
    assert!(!stood.let_on(&mut tracer));
}

pub(crate) fn a_costly_action_is_let_loose_when_its_line_was_counted() {
    let program = Fixture::c("counted.c").opt('2').build();
    let mut target = Target::spawn(&program, ["1", "1000"]);
    let image = Image::of(&program, target.pid());
    let undisturbed = round(&mut target);
    let mut tracer = tracer(&target);
    // On a machine with much to do the second pass may come so late that nothing is counted.
    let counters = wait_until("passes that are only counted", || {
        let action = ArmAction {
            ignore_quota: false,
            ..holding(&image, Duration::from_millis(1), Some(2))
        };
        tracer.arm(&action).unwrap();
        target.send("go");
        assert_eq!(held(&mut tracer).hits, 1, "the first pass is served");
        assert_eq!(target.line(), undisturbed);
        let counters = tracer.counters(Slot(0));
        tracer.disarm(Slot(0)).unwrap();
        (counters.over_budget > 0).then_some(counters)
    });
    assert!(counters.over_budget <= 65);
    assert_eq!(counters.hits, counters.kept + counters.over_budget);
    assert!(counters.passes_per_second > 0);
    tracer.release().unwrap();
    target.assert_clean();
    assert_eq!(round(&mut target), undisturbed);
}
