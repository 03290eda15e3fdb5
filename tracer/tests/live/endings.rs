//! However it ends, the target is what it was.

use lr_fixtures::{Fixture, Target, wait_until};
use lr_tracer::{Ended, Record, TracerError};
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
