//! Signals, breakpoints of the target's own, and job control, as if nobody watched.

use lr_fixtures::{Fixture, Target, wait_until};
use lr_tracer::{Slot, Tracer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::image::{Image, action, at_function, site, tracer};

fn handlers() -> (Target, Image) {
    let program = Fixture::c("handlers.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    (target, image)
}

/// How often the handler ran, where all else is right.
fn handled(line: &str) -> u64 {
    let right = "wrong 0 0 0 read 1 slept -1 once 1 handled ";
    let count = line.strip_prefix(right);
    count.unwrap_or_else(|| panic!("{line}")).parse().unwrap()
}

/// On a stack of their own, with their masks, nested in a step, and with the calls that they
/// interrupt restarted or not as the program has it.
pub(crate) fn handlers_run_as_they_would_have() {
    let (mut target, image) = handlers();
    target.send("s");
    handled(&target.line());
    let mut tracer = tracer(&target);
    let steps = image.instructions("step");
    let plans = steps.iter().map(|&at| image.plan(at, &steps).unwrap());
    let sites: Vec<_> = plans.map(site).collect();
    let count = sites.len() as u64;
    tracer.arm(&action(0, sites)).unwrap();
    let mut nested = at_function(&image, "nested");
    nested.slot = Slot(1);
    tracer.arm(&nested).unwrap();
    let mut ran = 0;
    for round in 1..=3 {
        target.send("s");
        ran += handled(&target.line());
        assert_eq!(tracer.counters(Slot(0)).hits, round * 2000 * count);
        assert_eq!(tracer.counters(Slot(1)).hits, ran);
    }
    tracer.release().unwrap();
    target.assert_clean();
    target.send("s");
    handled(&target.line());
}

pub(crate) fn breakpoints_of_its_own_are_its_own() {
    let (mut target, image) = handlers();
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "step")).unwrap();
    for _ in 0..3 {
        target.send("b");
        assert_eq!(target.line(), "broke 100 0");
    }
    tracer.release().unwrap();
    target.send("b");
    assert_eq!(target.line(), "broke 100 0");
}

/// A stop of the process does not end a call that goes on by itself afterwards.
pub(crate) fn a_call_goes_on_after_a_stop() {
    let (mut target, image) = handlers();
    let mut tracer = tracer(&target);
    tracer.arm(&at_function(&image, "step")).unwrap();
    let pid = Pid::from_raw(target.pid().cast_signed());
    for _ in 0..3 {
        target.send("p");
        assert_eq!(target.line(), "polling");
        for _ in 0..5 {
            kill(pid, Signal::SIGSTOP).unwrap();
            kill(pid, Signal::SIGCONT).unwrap();
        }
        assert_eq!(target.line(), "polled 0");
    }
    tracer.release().unwrap();
    target.assert_clean();
}

/// What a shell sees of its job, and the job of its terminal.
pub(crate) fn a_shell_stops_and_continues_its_job() {
    let program = Fixture::c("terminal.c").opt('2').build();
    let mut shell = Target::spawn(&program, [""; 0]);
    let job = shell.line();
    let job: u32 = job.strip_prefix("job ").unwrap().parse().unwrap();
    let image = Image::of(&program, job);
    let mut tracer = Tracer::spawn(&std::env::current_exe().unwrap(), job).unwrap();
    tracer.arm(&at_function(&image, "tick")).unwrap();
    for _ in 0..10 {
        hits_go_on(&mut tracer);
        shell.send("z");
        assert_eq!(shell.line(), format!("stopped {}", Signal::SIGTSTP as i32));
        shell.send("c");
        assert_eq!(shell.line(), "continued");
    }
    hits_go_on(&mut tracer);
    // Leaving in the middle of it changes nothing.
    shell.send("z");
    assert_eq!(shell.line(), format!("stopped {}", Signal::SIGTSTP as i32));
    tracer.release().unwrap();
    shell.send("c");
    assert_eq!(shell.line(), "continued");
    shell.send("i");
    assert_eq!(shell.line(), format!("killed {}", Signal::SIGINT as i32));
}

fn hits_go_on(tracer: &mut Tracer) {
    let before = tracer.counters(Slot(0)).hits;
    wait_until("a hit", || {
        while tracer.next_record().is_some() {}
        (tracer.counters(Slot(0)).hits > before).then_some(())
    });
}
