//! Where the tracer thread runs. A wake-up across CPUs costs a multiple of one on the same CPU
//! (design, section 4), so the tracer follows the thread that hits most. The target's own affinity
//! is never touched.
//!
//! Being on the same CPU is not enough: a thread that is continued is woken on an idle CPU where
//! there is one, because its own is busy, with us. Under `SCHED_IDLE` we do not count as busy
//! (`sched_idle_cpu` in the kernel's `select_idle_sibling`), and it stays where it is. See
//! [`Deference`] for what that costs.

use std::sync::Arc;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::process::deference::{Deference, Recalled};
use crate::process::proc::{SchedTimes, ThreadFiles};

/// Hits between two looks at where the target runs, while all is well.
const PERIOD: u32 = 64;
/// The same as long as we may do better: a budget allows for few hits across CPUs.
const FIRST_PERIOD: u32 = 16;
/// The least time between two looks where we have to sleep for a hit. On our CPU the thread runs
/// before we do, and has stopped again when we come to wait for it: it may have been moved. Or it
/// does other things, and then it is looked at less and less.
const LOOK_NS: u64 = 200_000;
const RAREST_LOOK_NS: u64 = 2_000_000;
/// If hits come less often than this on average, the site is not busy enough to follow.
const BUSY_NS: u64 = 1_500_000;
/// We give way only where one thread makes nearly all hits, in eighths: another one's stop waits
/// until the first comes to its next.
const DOMINANT: u32 = 7;
/// Waiting for others on the CPU, for each hit, that makes giving way a loss.
const CONTENDED_NS: u64 = 10_000;
/// How long we do not give way after we had to wait for others.
const BACK_OFF_NS: u64 = 50_000_000;
const LONGEST_BACK_OFF_NS: u64 = 16_000_000_000;

/// How the thread of the last hits and the tracer were placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placement {
    SameCpu,
    OtherCpu,
}

#[derive(Debug)]
pub(crate) struct Follower {
    allowed: Option<CpuSet>,
    /// The CPU that we are bound to.
    following: Option<usize>,
    placement: Placement,
    deference: Arc<Deference>,
    back_off: BackOff,
    looked_at: u64,
    look_ns: u64,
    /// What is known of us, and of the thread that is followed.
    own: Option<ThreadFiles>,
    its: Option<(i32, ThreadFiles)>,
    period: Period,
}

#[derive(Debug, Default)]
struct Period {
    began: u64,
    hits: u32,
    /// The thread that is followed, or may be next.
    tid: i32,
    hits_of_tid: u32,
    /// What we and that thread had when the period began, while we give way.
    times: Option<(SchedTimes, SchedTimes)>,
}

impl Period {
    fn one_thread_dominates(&self) -> bool {
        self.hits_of_tid * 8 >= self.hits * DOMINANT
    }

    /// We are runnable and do not run while the thread runs, which is as it should be, and while
    /// others do.
    fn waited_for_others(&self, now: Option<(SchedTimes, SchedTimes)>) -> bool {
        let (Some((own, its)), Some((own_now, its_now))) = (self.times, now) else {
            return false;
        };
        let waited = own_now.waited_ns.saturating_sub(own.waited_ns);
        let ran = its_now.ran_ns.saturating_sub(its.ran_ns);
        waited.saturating_sub(ran) > CONTENDED_NS * u64::from(self.hits)
    }
}

/// When giving way may be tried again.
#[derive(Debug)]
struct BackOff {
    until: u64,
    next_ns: u64,
}

impl BackOff {
    fn failed(&mut self, now_ns: u64) {
        // It went well for as long as we had waited with it: that is past.
        if now_ns > self.until + self.next_ns {
            self.next_ns = BACK_OFF_NS;
        }
        self.until = now_ns + self.next_ns;
        self.next_ns = (self.next_ns * 2).min(LONGEST_BACK_OFF_NS);
    }
}

impl Follower {
    pub(crate) fn new(deference: Arc<Deference>) -> Follower {
        Follower {
            allowed: deference.allowed(),
            following: None,
            placement: Placement::OtherCpu,
            deference,
            back_off: BackOff {
                until: 0,
                next_ns: BACK_OFF_NS,
            },
            looked_at: 0,
            look_ns: LOOK_NS,
            own: ThreadFiles::own(),
            its: None,
            period: Period::default(),
        }
    }

    /// Where the tracer thread may run.
    pub(crate) fn allowed(&self) -> Option<CpuSet> {
        self.allowed
    }

    /// How the last hits were taken.
    pub(crate) fn placement(&self) -> Placement {
        self.placement
    }

    /// To be called after each hit, when its thread runs again. Whether we `slept` before it.
    pub(crate) fn after_hit(&mut self, pid: i32, tid: i32, now_ns: u64, slept: bool) {
        self.deference.beat();
        self.heed(now_ns);
        self.period.hits += 1;
        self.period.hits_of_tid += u32::from(tid == self.period.tid);
        let gives_way = self.deference.gives_way();
        let full = match self.placement {
            Placement::SameCpu => PERIOD,
            Placement::OtherCpu => FIRST_PERIOD,
        };
        if self.period.hits >= full {
            self.end_of_period(pid, tid, now_ns);
        } else if gives_way && slept && now_ns.saturating_sub(self.looked_at) > self.look_ns {
            self.look(now_ns);
        }
    }

    /// Where the thread is, between two ends of a period: follows it if it was moved.
    fn look(&mut self, now_ns: u64) {
        self.looked_at = now_ns;
        let Some(activity) = self.its.as_ref().and_then(|(_, its)| its.activity()) else {
            return;
        };
        if self.following == Some(activity.cpu) {
            self.look_ns = (self.look_ns * 2).min(RAREST_LOOK_NS);
            return;
        }
        self.look_ns = LOOK_NS;
        // We waited for the other CPU to wake up, which says nothing of who else wants ours.
        self.period.times = None;
        self.follow(activity.cpu);
    }

    fn end_of_period(&mut self, pid: i32, tid: i32, now_ns: u64) {
        let period = std::mem::take(&mut self.period);
        self.period.began = now_ns;
        let leads = period.hits_of_tid * 2 >= period.hits;
        self.period.tid = if leads { period.tid } else { tid };
        let passed = now_ns.saturating_sub(period.began);
        if self.its.as_ref().map(|(tid, _)| *tid) != Some(self.period.tid) {
            let files = ThreadFiles::open(pid, self.period.tid);
            self.its = files.map(|files| (self.period.tid, files));
        }
        let activity = self.its.as_ref().and_then(|(_, its)| its.activity());
        let Some(activity) = activity.filter(|_| passed < BUSY_NS * u64::from(period.hits)) else {
            return self.roam();
        };
        self.placement = match self.following == Some(activity.cpu) {
            true => Placement::SameCpu,
            false => Placement::OtherCpu,
        };
        self.follow(activity.cpu);
        let gives_way = self.deference.gives_way();
        // Apart, we wait for the other CPU to wake up.
        let together = self.placement == Placement::SameCpu;
        if !period.one_thread_dominates() {
            return self.deference.end();
        }
        let times = self.times();
        if gives_way && together && period.waited_for_others(times) {
            self.deference.end();
            self.back_off.failed(now_ns);
        } else if gives_way || !together && self.may_give_way(now_ns) {
            self.placement = Placement::SameCpu;
            self.period.times = times;
        }
    }

    /// Ours, and those of the thread that is followed.
    fn times(&self) -> Option<(SchedTimes, SchedTimes)> {
        let (_, its) = self.its.as_ref()?;
        Some((self.own.as_ref()?.times()?, its.times()?))
    }

    /// Where no CPU is idle the thread stays by itself, and this is not asked.
    fn may_give_way(&self, now_ns: u64) -> bool {
        now_ns >= self.back_off.until && self.deference.begin()
    }

    /// Takes notice of what the control thread has done meanwhile.
    fn heed(&mut self, now_ns: u64) {
        match self.deference.heed() {
            None => return,
            Some(Recalled::Starving) => self.back_off.failed(now_ns),
            Some(Recalled::Unused) => self.following = None,
            // What it was wanted for is done.
            Some(Recalled::Wanted) if self.following.is_some() && self.deference.begin() => return,
            Some(Recalled::Wanted) => {}
        }
        self.placement = Placement::OtherCpu;
    }

    fn follow(&mut self, cpu: usize) {
        let Some(allowed) = &self.allowed else { return };
        if self.following == Some(cpu) || allowed.is_set(cpu) != Ok(true) {
            return;
        }
        let mut set = CpuSet::new();
        if set.set(cpu).is_ok() && sched_setaffinity(Pid::from_raw(0), &set).is_ok() {
            self.following = Some(cpu);
            self.deference.is_on(cpu);
        }
    }

    /// Runs anywhere again, as an ordinary thread.
    pub(crate) fn roam(&mut self) {
        self.deference.end();
        self.placement = Placement::OtherCpu;
        // It may be gone.
        self.its = None;
        if let (Some(_), Some(allowed)) = (self.following.take(), &self.allowed) {
            let _ = sched_setaffinity(Pid::from_raw(0), allowed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BACK_OFF_NS, BackOff, LONGEST_BACK_OFF_NS};

    #[test]
    fn who_fails_again_waits_longer_until_it_goes_well() {
        let mut back_off = BackOff {
            until: 0,
            next_ns: BACK_OFF_NS,
        };
        let mut waits = Vec::new();
        let mut now = 1;
        for _ in 0..12 {
            back_off.failed(now);
            waits.push(back_off.until - now);
            now = back_off.until;
        }
        assert_eq!(waits[..3], [1, 2, 4].map(|times| times * BACK_OFF_NS));
        assert_eq!(waits[11], LONGEST_BACK_OFF_NS);
        now += LONGEST_BACK_OFF_NS + 1;
        back_off.failed(now);
        assert_eq!(back_off.until - now, BACK_OFF_NS);
    }
}
