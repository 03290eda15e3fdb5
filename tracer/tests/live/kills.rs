//! The tracer is killed while a thread stops at its sites all the time.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use lr_fixtures::{Fixture, Target, text_differences, wait_until};
use lr_tracer::{ResumeKind, Slot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

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

/// Its child that is to measure what stops cost, above all: adopted before it asked to be traced, it
/// would be traced by who adopts it, and stand still for good.
pub(crate) fn nothing_is_left_of_a_tracer_that_is_killed_at_once() {
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let target = Target::spawn(&Fixture::c("paced.c").opt('2').build(), [""; 0]);
    for round in 0..200 {
        let tracer = tracer(&target);
        let pid = Pid::from_raw(tracer.tracer_pid().unwrap().cast_signed());
        std::thread::sleep(Duration::from_micros(round * 25));
        kill(pid, Signal::SIGKILL).unwrap();
        drop(tracer);
        wait_until("no other child than the target", || {
            let others = children()
                .into_iter()
                .filter(|&child| child != target.pid());
            let others: Vec<u32> = others.collect();
            for &child in &others {
                let child = Pid::from_raw(child.cast_signed());
                let _ = waitpid(child, Some(WaitPidFlag::WNOHANG));
            }
            others.is_empty().then_some(())
        });
    }
    nix::sys::prctl::set_child_subreaper(false).unwrap();
    target.assert_clean();
}

fn children() -> Vec<u32> {
    let mut children = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path().join("children");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        children.extend(
            text.split_ascii_whitespace()
                .map(|pid| pid.parse::<u32>().unwrap()),
        );
    }
    children
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
