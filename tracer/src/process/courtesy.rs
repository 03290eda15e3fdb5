//! Being no burden to a process that runs: who has much to do beside it does that on other CPUs.
//!
//! A thread that gets the CPU of a running one keeps it until the next tick of the kernel's clock,
//! which is 4 ms where there are 250 a second, and no priority shortens that. Debug info is read
//! and threads are seized for longer than that.

use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::process::proc;

/// Threads of a process that are asked where they run, at most: each costs some microseconds.
const MOST_THREADS: usize = 1024;

/// While this is there, the thread that made it and those that it starts keep off the CPUs on which
/// threads of a process run, where there are others. It belongs to that thread.
#[derive(Debug)]
pub struct Aside {
    pid: u32,
    /// Where the thread may run otherwise.
    allowed: Option<CpuSet>,
    is_aside: bool,
}

impl Aside {
    /// The calling thread may run otherwise where this process's main thread may.
    pub fn of(pid: u32) -> Aside {
        Aside::within(pid, cpus_of(std::process::id()))
    }

    /// The calling thread may run otherwise where it is `allowed`.
    pub(crate) fn within(pid: u32, allowed: Option<CpuSet>) -> Aside {
        let mut aside = Aside {
            pid,
            allowed,
            is_aside: true,
        };
        aside.look();
        aside
    }

    /// Looks again where threads of the process run. To be called by the same thread.
    pub fn look(&mut self) {
        let Some(allowed) = self.allowed else { return };
        match without(&allowed, &busy_cpus(self.pid.cast_signed())) {
            Some(others) => self.is_aside |= bind(&others),
            None => self.come_back(),
        }
    }

    /// The thread may run everywhere again, until the next look.
    pub fn come_back(&mut self) {
        if let Some(allowed) = self.allowed.filter(|_| self.is_aside) {
            self.is_aside = !bind(&allowed);
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.come_back();
    }
}

/// Where a thread may run.
pub(crate) fn cpus_of(tid: u32) -> Option<CpuSet> {
    sched_getaffinity(Pid::from_raw(tid.cast_signed())).ok()
}

fn bind(cpus: &CpuSet) -> bool {
    sched_setaffinity(Pid::from_raw(0), cpus).is_ok()
}

/// Long work in small portions: whoever waits for the CPU gets it between two of them.
#[derive(Debug)]
pub(crate) struct Portions {
    since: Instant,
}

/// How long a portion takes.
const PORTION: Duration = Duration::from_micros(200);
/// The shortest sleep that there is: another thread is chosen, and not us again.
const BREATH: Duration = Duration::from_nanos(1);

impl Portions {
    pub(crate) fn begin() -> Portions {
        Portions {
            since: Instant::now(),
        }
    }

    /// To be called between pieces of the work, each much smaller than a portion.
    pub(crate) fn pause_if_due(&mut self) {
        if self.since.elapsed() > PORTION {
            std::thread::sleep(BREATH);
            self.since = Instant::now();
        }
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

/// The CPUs on which threads of a process run, or wait to.
pub(crate) fn busy_cpus(pid: i32) -> Vec<usize> {
    let mut busy = Vec::new();
    let mut portions = Portions::begin();
    for tid in proc::threads(pid).into_iter().take(MOST_THREADS) {
        if let Some(now) = proc::activity(pid, tid)
            && now.state == b'R'
            && !busy.contains(&now.cpu)
        {
            busy.push(now.cpu);
        }
        portions.pause_if_due();
    }
    busy
}

#[cfg(test)]
mod tests {
    use nix::sched::{CpuSet, sched_getaffinity};
    use nix::unistd::Pid;

    use super::{Aside, without};

    fn set(cpus: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        for &cpu in cpus {
            set.set(cpu).unwrap();
        }
        set
    }

    #[test]
    fn a_cpu_is_left_to_who_runs_there_and_one_to_us() {
        let left = without(&set(&[0, 1, 2]), &[1]);
        assert_eq!(left, Some(set(&[0, 2])));
        assert_eq!(without(&set(&[0, 1]), &[0, 1]), None, "all are busy");
        assert_eq!(without(&set(&[0, 1]), &[5]), None, "none of ours");
        assert_eq!(without(&set(&[0]), &[100_000]), None);
    }

    #[test]
    fn who_has_stepped_aside_comes_back() {
        let allowed = || sched_getaffinity(Pid::from_raw(0)).unwrap();
        let before = allowed();
        // We run ourselves, on one of our CPUs.
        let aside = Aside::of(std::process::id());
        if (0..CpuSet::count())
            .filter(|&cpu| before.is_set(cpu) == Ok(true))
            .count()
            == 1
        {
            assert_eq!(allowed(), before);
        }
        let inherited = std::thread::spawn(allowed).join().unwrap();
        assert_eq!(inherited, allowed());
        drop(aside);
        assert_eq!(allowed(), before);
    }
}
