//! The tracer is killed while a thread stops at its sites all the time.

use lr_fixtures::{Fixture, Target, text_differences, wait_until};
use lr_tracer::{ResumeKind, Slot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;

use crate::image::{Image, at_function, tracer};

/// A thread that is stopped then dies of its SIGTRAP, and so does one that comes by before the
/// byte is gone. It never goes on with registers that are not its own.
pub(crate) fn a_target_never_lives_on_with_a_wrong_value() {
    let program = Fixture::c("checked.c").opt('2').build();
    for round in 0..80 {
        let function = ["computed", "stored"][round % 2];
        let mut target = Target::spawn(&program, [""; 0]);
        let image = Image::of(&program, target.pid());
        let mut tracer = tracer(&target);
        let action = at_function(&image, function);
        let steps = action.sites[0].site.resume() != ResumeKind::Emulate;
        assert_eq!(steps, function == "stored");
        tracer.arm(&action).unwrap();
        // At another moment of a hit in each round.
        let enough = 50 + 37 * round as u64;
        wait_until("hits", || {
            (tracer.counters(Slot(0)).hits > enough).then_some(())
        });
        for _ in 0..round * 97 {
            std::hint::spin_loop();
        }
        let pid = tracer.tracer_pid().unwrap();
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        tracer.take_rescued();
        check(&mut target);
    }
}

fn check(target: &mut Target) {
    let before = ticks(target);
    let ended = wait_until("it to go on or to have ended", || match is_over(target) {
        true => Some(true),
        false => (ticks(target) > before + 1).then_some(false),
    });
    if ended {
        let status = target.ended();
        assert_eq!(status.signal(), Some(Signal::SIGTRAP as i32), "{status}");
    } else {
        assert!(text_differences(target.pid()).unwrap().is_empty());
    }
}

fn is_over(target: &Target) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.starts_with('Z')
}

/// Clock ticks that it has used: it checks its values some hundred thousand times in each.
fn ticks(target: &Target) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    // utime, field 14.
    rest.split(' ').nth(11).unwrap().parse().unwrap()
}
