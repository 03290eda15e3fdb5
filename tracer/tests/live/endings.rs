//! However it ends, the target is what it was.

use std::time::Duration;

use lr_fixtures::{Fixture, Target, text_differences, wait_until};
use lr_tracer::{ArmAction, Ended, Record, Slot, TracerError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::image::{Image, at_function, read_until, tracer};

fn busy() -> (Target, Image) {
    let program = Fixture::c("tight.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    (target, image)
}

pub(crate) fn release_restores_every_byte() {
    for _ in 0..20 {
        let (target, image) = busy();
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "process")).unwrap();
        read_until(&mut tracer, "a hit", |_| Some(()));
        assert_eq!(tracer.release().unwrap().restored, 1);
        target.assert_unharmed();
    }
}

pub(crate) fn losing_the_agent_restores_every_byte() {
    for _ in 0..20 {
        let (target, image) = busy();
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "process")).unwrap();
        read_until(&mut tracer, "a hit", |_| Some(()));
        // What the kernel does for an agent that is killed: the socket closes.
        drop(tracer);
        target.assert_unharmed();
    }
}

/// At lines that nobody comes to: a thread that is stopped at that moment cannot be saved.
pub(crate) fn a_killed_tracers_bytes_are_put_back() {
    let program = Fixture::c("paced.c").opt('2').build();
    for _ in 0..20 {
        let mut target = Target::spawn(&program, [""; 0]);
        let image = Image::of(&program, target.pid());
        let mut tracer = tracer(&target);
        tracer.arm(&at_function(&image, "never")).unwrap();
        assert_eq!(text_differences(target.pid()).unwrap().len(), 1);
        let pid = tracer.tracer_pid().unwrap();
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        let rescued = tracer.take_rescued().unwrap();
        assert_eq!((rescued.restored, rescued.left), (1, 0));
        assert_it_works(&mut target);
    }
}

pub(crate) fn what_is_not_planted_any_more_is_left_alone() {
    let program = Fixture::c("paced.c").opt('2').build();
    let mut target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "never")).unwrap();
    tracer.disarm(Slot(0)).unwrap();
    let pid = tracer.tracer_pid().unwrap();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    let rescued = tracer.take_rescued().unwrap();
    assert_eq!((rescued.restored, rescued.left), (0, 0));
    assert_it_works(&mut target);
}

fn assert_it_works(target: &mut Target) {
    target.assert_clean();
    target.send("compute 1");
    assert!(target.line().starts_with("did "));
}

/// One that is hit all the time, one that is paused, and one in a target that does nothing: an
/// agent that is frozen asks for none of them any more.
pub(crate) fn an_action_whose_time_is_over_is_unplanted_unasked() {
    for ignore_quota in [true, false] {
        let (target, image) = busy();
        let mut tracer = tracer(&target);
        let action = ArmAction {
            expires_in: Some(Duration::from_millis(300)),
            ignore_quota,
            ..at_function(&image, "process")
        };
        tracer.arm(&action).unwrap();
        wait_until("nothing to come any more, not after a pause either", || {
            let before = tracer.counters(Slot(0));
            std::thread::sleep(2 * lr_tracer::PAUSE);
            let differences = text_differences(target.pid()).unwrap();
            (differences.is_empty() && tracer.counters(Slot(0)) == before).then_some(())
        });
        tracer.release().unwrap();
        target.assert_unharmed();
    }
    let program = Fixture::c("counted.c").opt('2').build();
    let mut target = Target::spawn(&program, ["2", "10"]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    let stays = at_function(&image, "step");
    let goes = ArmAction {
        slot: Slot(1),
        expires_in: Some(Duration::from_millis(300)),
        ..at_function(&image, "run")
    };
    tracer.arm(&stays).unwrap();
    tracer.arm(&goes).unwrap();
    wait_until("one of them to go", || {
        let differences = text_differences(target.pid()).unwrap();
        (differences.len() == 1).then_some(())
    });
    target.send("go");
    target.line();
    let hits = [Slot(0), Slot(1)].map(|slot| tracer.counters(slot).hits);
    assert_eq!(hits, [20, 0]);
    tracer.disarm(Slot(1)).unwrap();
    tracer.release().unwrap();
    target.assert_clean();
}

pub(crate) fn the_tracer_ends_well_when_told_to() {
    let (target, image) = busy();
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "process")).unwrap();
    let pid = i32::try_from(tracer.tracer_pid().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    wait_until("the tracer's end", || (!tracer.is_alive()).then_some(()));
    target.assert_unharmed();
}

pub(crate) fn an_exit_is_reported() {
    let (mut target, mut tracer) = armed("exiter.c", "tick");
    target.send("end");
    assert_eq!(end_of(&mut tracer), Ended::Exited { status: 7 });
    assert_eq!(target.ended().code(), Some(7));
}

pub(crate) fn a_kill_is_reported() {
    let (mut target, mut tracer) = armed("exiter.c", "tick");
    target.kill();
    assert_eq!(end_of(&mut tracer), Ended::Killed { signal: 9 });
}

pub(crate) fn an_exec_is_reported() {
    let (mut target, mut tracer) = armed("execer.c", "tick");
    target.send("go");
    assert_eq!(end_of(&mut tracer), Ended::Execed);
    assert_eq!(target.line(), "again");
    target.assert_clean();
}

pub(crate) fn a_process_that_is_gone_is_refused() {
    let program = Fixture::c("exiter.c").opt('2').build();
    let mut target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let action = at_function(&image, "tick");
    let mut tracer = tracer(&target);
    target.kill();
    assert!(matches!(
        tracer.arm(&action),
        Err(TracerError::ProcessGone { .. })
    ));
}

fn armed(program: &str, function: &str) -> (Target, lr_tracer::Tracer) {
    let program = Fixture::c(program).opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, function)).unwrap();
    read_until(&mut tracer, "a hit", |_| Some(()));
    (target, tracer)
}

fn end_of(tracer: &mut lr_tracer::Tracer) -> Ended {
    read_until(tracer, "the end", |record| match record {
        Record::Ended(ended) => Some(ended),
        _ => None,
    })
}
