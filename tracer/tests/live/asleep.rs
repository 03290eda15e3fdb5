//! Threads that are asleep in the kernel are left there.

use lr_fixtures::{Fixture, Target, wait_until};
use lr_tracer::Slot;

use crate::image::{Image, at_function, tracer};

/// Rounds of attaching, a hit and letting go, and how many of them one tracer process makes.
const ROUNDS: u64 = 1000;
const ROUNDS_OF_ONE: u64 = 50;

/// Each call that signal(7) lists is open in a thread of its own all the while: none of them may
/// return, with `EINTR` or otherwise.
pub(crate) fn no_call_returns_because_of_us() {
    let program = Fixture::c("asleep.c").opt('2').build();
    let mut target = Target::spawn(&program, [""; 0]);
    let image = Image::of(&program, target.pid());
    let is_asleep = |tid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{tid}/stat")).unwrap();
        stat[stat.rfind(')').unwrap()..].starts_with(") S")
    };
    wait_until("each thread to sleep", || {
        target.threads().iter().all(is_asleep).then_some(())
    });
    target.send("go");
    let all = target.line();
    let calls = target.threads().len() - 1;
    assert_eq!(all, format!("asleep {calls}"));
    for _ in 0..ROUNDS / ROUNDS_OF_ONE {
        let mut tracer = tracer(&target);
        for _ in 0..ROUNDS_OF_ONE {
            tracer.arm(&at_function(&image, "pass")).unwrap();
            target.send("go");
            assert_eq!(target.line(), all);
            assert_eq!(tracer.counters(Slot(0)).hits, 1);
            tracer.disarm(Slot(0)).unwrap();
        }
        tracer.release().unwrap();
    }
    target.assert_clean();
    target.send("go");
    assert_eq!(target.line(), all);
    target.close();
    assert!(target.ended().success());
}
