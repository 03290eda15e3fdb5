//! The tracer thread follows the target's busiest thread from CPU to CPU: a wake-up across CPUs
//! costs ten times what it costs on the same one (design, section 4). The target's own affinity is
//! never touched.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::process::proc;

/// Hits between two looks at where the target runs.
const PERIOD: u32 = 64;
/// If that many hits took longer than this, the site is not busy enough to follow.
const BUSY_NS: u64 = 100_000_000;

#[derive(Debug)]
pub(crate) struct Follower {
    allowed: Option<CpuSet>,
    following: Option<usize>,
    hits: u32,
    period_began: u64,
}

impl Follower {
    pub(crate) fn new() -> Follower {
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok();
        Follower {
            allowed,
            following: None,
            hits: 0,
            period_began: 0,
        }
    }

    /// Whether the last hits were taken on the CPU of their thread.
    pub(crate) fn is_following(&self) -> bool {
        self.following.is_some()
    }

    /// To be called after each hit, when its thread runs again.
    pub(crate) fn after_hit(&mut self, pid: i32, tid: i32, now_ns: u64) {
        self.hits += 1;
        if self.hits < PERIOD {
            return;
        }
        let busy = now_ns.saturating_sub(self.period_began) < BUSY_NS;
        self.hits = 0;
        self.period_began = now_ns;
        if busy {
            if let Some(activity) = proc::activity(pid, tid) {
                self.follow(activity.cpu);
            }
        } else {
            self.roam();
        }
    }

    fn follow(&mut self, cpu: usize) {
        let Some(allowed) = &self.allowed else { return };
        if self.following == Some(cpu) || allowed.is_set(cpu) != Ok(true) {
            return;
        }
        let mut set = CpuSet::new();
        if set.set(cpu).is_ok() && sched_setaffinity(Pid::from_raw(0), &set).is_ok() {
            self.following = Some(cpu);
        }
    }

    fn roam(&mut self) {
        if let (Some(_), Some(allowed)) = (self.following.take(), &self.allowed) {
            let _ = sched_setaffinity(Pid::from_raw(0), allowed);
        }
    }
}
