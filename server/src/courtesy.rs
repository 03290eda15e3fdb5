//! Giving way to the programs that run beside us, and above all to those that are looked into.
//!
//! To the scheduler our session is a group with a nice value of its own (sched(7), "The autogroup
//! feature"): at 19, a thread of another group that wakes up on our CPU has it at once. That may
//! be taken back without a privilege, which is done where we do not get to run. It does not help
//! those that never sleep: what gets the CPU of such a thread keeps it until the next tick of the
//! kernel's clock. So who writes, which takes milliseconds, keeps off their CPUs.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::log::log;
use crate::proc;

const NICEST: &str = "19";
const ORDINARY: &str = "0";
/// How often we look whether we still get to run.
const ROUND: Duration = Duration::from_millis(200);
/// Waiting for a CPU, of all threads together in a round, that is too much.
const STARVING_NS: u64 = 100_000_000;
/// How long we do not give way after that.
const ORDINARY_FOR: Duration = Duration::from_secs(5);
/// The kernel lets a group's value be changed once in a tenth of a second.
const AGAIN: Duration = Duration::from_millis(100);
const TRIES: u32 = 20;

/// From now on this process's session gives way, if it is its own, and watches that it is not
/// forgotten over it.
pub(crate) fn give_way() {
    let own = nix::unistd::getsid(None).is_ok_and(|session| session == nix::unistd::getpid());
    if !own {
        return;
    }
    let name = "courtesy".to_owned();
    if let Err(error) = thread::Builder::new().name(name).spawn(watch) {
        log(&format!("nothing gives way: {error}"));
    }
}

fn watch() {
    while set_nice(NICEST).is_ok() {
        let mut waited = proc::waited_ns();
        loop {
            thread::sleep(ROUND);
            let now = proc::waited_ns();
            if now.saturating_sub(waited) > STARVING_NS {
                break;
            }
            waited = now;
        }
        if set_nice(ORDINARY).is_err() {
            return;
        }
        thread::sleep(ORDINARY_FOR);
    }
}

fn set_nice(value: &str) -> io::Result<()> {
    for _ in 0..TRIES {
        match fs::write("/proc/self/autogroup", value) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            written => return written,
        }
    }
    Err(ErrorKind::WouldBlock.into())
}

/// Keeps one thread off the CPUs on which threads of some processes run.
#[derive(Debug)]
pub(crate) struct Aside {
    /// Where it may run.
    allowed: Option<CpuSet>,
    next_look: Instant,
    is_aside: bool,
}

/// The least time between two looks, and the share of the time that they may take, as its inverse.
const LOOK: Duration = Duration::from_millis(10);
const LOOK_SHARE: u32 = 50;

impl Aside {
    /// Of the calling thread.
    pub(crate) fn new() -> Aside {
        Aside {
            allowed: sched_getaffinity(Pid::from_raw(0)).ok(),
            next_look: Instant::now(),
            is_aside: false,
        }
    }

    /// Looks where threads of those processes run now, if that is due. To be called by the thread
    /// before it has much to do.
    pub(crate) fn keep_off(&mut self, processes: impl FnOnce() -> Vec<u32>) {
        let begun = Instant::now();
        let Some(allowed) = self.allowed.filter(|_| begun >= self.next_look) else {
            return;
        };
        let mut busy = Vec::new();
        for pid in processes() {
            busy.extend(proc::busy_cpus(pid));
        }
        match without(&allowed, &busy) {
            Some(others) => {
                self.is_aside = sched_setaffinity(Pid::from_raw(0), &others).is_ok();
            }
            None if self.is_aside => {
                self.is_aside = sched_setaffinity(Pid::from_raw(0), &allowed).is_err();
            }
            None => {}
        }
        self.next_look = begun + LOOK.max(begun.elapsed() * LOOK_SHARE);
    }
}

/// Those that are left, if it is some and not all.
fn without(allowed: &CpuSet, busy: &[usize]) -> Option<CpuSet> {
    let mut left = *allowed;
    for &cpu in busy {
        // One that is beyond what a set can have is none of ours.
        let _ = left.unset(cpu);
    }
    let is_some = (0..CpuSet::count()).any(|cpu| left.is_set(cpu) == Ok(true));
    (is_some && left != *allowed).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cpus: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        for &cpu in cpus {
            set.set(cpu).unwrap();
        }
        set
    }

    #[test]
    fn a_cpu_is_left_to_who_runs_there_and_one_to_us() {
        assert_eq!(without(&set(&[0, 1, 2]), &[1, 1]), Some(set(&[0, 2])));
        assert_eq!(without(&set(&[0, 1]), &[0, 1]), None, "all are busy");
        assert_eq!(without(&set(&[0, 1]), &[5]), None, "none of ours");
    }

    #[test]
    fn where_nobody_runs_any_more_we_may_run_again() {
        let thread = thread::spawn(|| {
            let allowed = || sched_getaffinity(Pid::from_raw(0)).unwrap();
            let before = allowed();
            let mut aside = Aside::new();
            // We run ourselves, on one of our CPUs.
            aside.keep_off(|| vec![std::process::id()]);
            assert_eq!(aside.is_aside, allowed() != before);
            aside.next_look = Instant::now();
            aside.keep_off(Vec::new);
            assert_eq!(allowed(), before);
        });
        thread.join().unwrap();
    }
}
