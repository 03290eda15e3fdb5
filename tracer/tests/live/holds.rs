//! Threads that stand still while the agent reads, and go on as if nothing had been.

use std::time::Duration;

use lr_fixtures::{Fixture, Target, wait_until};
use lr_tracer::{ArmAction, Mode, Record, Slot, Tracer};

use crate::image::{Image, at_function, read_until, tracer};

const THREADS: u64 = 6;
const HITS: u64 = 50;
/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

fn counted() -> (Target, Image) {
    let program = Fixture::c("counted.c").opt('2').build();
    let target = Target::spawn(&program, [THREADS.to_string(), HITS.to_string()]);
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

/// The first thread that is held, and its rip.
fn held(tracer: &mut Tracer) -> (u32, u64) {
    read_until(tracer, "a thread that is held", |record| match record {
        Record::Held { tid, registers, .. } => Some((tid, registers.general[16])),
        _ => None,
    })
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
    let (tid, pc) = held(&mut tracer);
    assert_eq!(pc, image.function("step").0);
    // The others come to their end, and it does not.
    let is_alone = || {
        let runs = |tid: &u32| state(&target, *tid) == Some('R');
        (!target.threads().iter().any(runs)).then_some(())
    };
    wait_until("the others to end", is_alone);
    assert_eq!(state(&target, tid), Some('t'));
    assert!(tracer.let_on(tid, Slot(0)).unwrap().is_some());
    assert_eq!(target.line(), undisturbed);
    // It is not held twice.
    assert_eq!(tracer.let_on(tid, Slot(0)).unwrap(), None);
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
    let (tid, _) = held(&mut tracer);
    assert_eq!(tracer.let_on(tid, Slot(0)).unwrap(), None);
    let counters = tracer.counters(Slot(0));
    assert_eq!(counters.kept, 3);
    assert!(counters.max_stop_ns >= 15_000_000, "{counters:?}");
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
            if let Record::Held { tid, .. } = record {
                standing.push(tid);
            }
        }
        for tid in standing {
            assert!(tracer.let_on(tid, Slot(0)).unwrap().is_some());
            let_on += 1;
        }
        (tracer.counters(Slot(0)).hits == expected).then_some(())
    });
    let counters = tracer.counters(Slot(0));
    assert_eq!(counters.kept + counters.dropped, expected);
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
    let (tid, _) = held(&mut tracer);
    target.kill();
    read_until(&mut tracer, "the end", |record| match record {
        Record::Ended(_) => Some(()),
        _ => None,
    });
    assert_eq!(tracer.let_on(tid, Slot(0)).unwrap(), None);
}
