//! The tracer thread under `SCHED_IDLE`: the thread that it continues stays on their CPU (see
//! [`super::placement`]). The price is that everybody else on that CPU goes first, while a thread
//! of the target may stand still and wait for us. So it is done only where that can be undone, and
//! the control thread watches it: a tracer that wants to run and does not is recalled.

use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::process::proc::{self, ThreadFiles};
use crate::sys::{self, Policy};

/// How long a tracer that gives way may be without a hit before it is asked why.
pub(crate) const WATCH: Duration = Duration::from_millis(5);
/// After so many rounds without a hit it does not give way any more, and may run anywhere.
const UNUSED_ROUNDS: u32 = 4;

const ORDINARY: u8 = 0;
const GIVING_WAY: u8 = 1;
const STARVING: u8 = 2;
const UNUSED: u8 = 3;
const WANTED: u8 = 4;

/// Why the watch has made the tracer thread an ordinary one again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recalled {
    /// It wanted to run, and others did.
    Starving,
    /// There were no hits.
    Unused,
    /// There is something else to do than hits.
    Wanted,
}

/// Shared by the tracer thread and the control thread, which watches it.
#[derive(Debug)]
pub(crate) struct Deference {
    /// The tracer thread; 0 before it has begun.
    tid: AtomicI32,
    /// The control thread, which is told when its watch begins.
    watcher: i32,
    state: AtomicU8,
    /// The CPU to which the tracer thread is bound.
    cpu: AtomicUsize,
    hits: AtomicU32,
    /// Where the two threads may run.
    allowed: Option<CpuSet>,
    /// Whether this process may take back `SCHED_IDLE`: that is a privilege (sched(7)).
    is_possible: bool,
}

impl Deference {
    /// To be called by the thread that will [`Watch`].
    pub(crate) fn new(allowed: Option<CpuSet>) -> Deference {
        Deference {
            tid: AtomicI32::new(0),
            watcher: nix::unistd::gettid().as_raw(),
            state: AtomicU8::new(ORDINARY),
            cpu: AtomicUsize::new(usize::MAX),
            hits: AtomicU32::new(0),
            allowed,
            is_possible: can_come_back(),
        }
    }

    /// The calling thread is the one that may give way.
    pub(crate) fn begins_here(&self) {
        self.tid
            .store(nix::unistd::gettid().as_raw(), Ordering::Release);
    }

    /// Where the two threads may run, at other times than when they are bound or keep aside.
    pub(crate) fn allowed(&self) -> Option<CpuSet> {
        self.allowed
    }

    /// A hit was served.
    pub(crate) fn beat(&self) {
        let hits = self.hits.load(Ordering::Relaxed);
        self.hits.store(hits.wrapping_add(1), Ordering::Relaxed);
    }

    pub(crate) fn gives_way(&self) -> bool {
        self.state.load(Ordering::Acquire) == GIVING_WAY
    }

    /// The calling thread is bound to a CPU.
    pub(crate) fn is_on(&self, cpu: usize) {
        self.cpu.store(cpu, Ordering::Release);
    }

    /// Makes the calling thread give way; false where it may not.
    pub(crate) fn begin(&self) -> bool {
        if !self.is_possible {
            return false;
        }
        // Marked before it is done: from then on others go first, and it has to be watched.
        self.state.store(GIVING_WAY, Ordering::Release);
        if sys::set_policy(0, Policy::Idle).is_err() {
            self.state.store(ORDINARY, Ordering::Release);
            return false;
        }
        sys::wake_thread(self.watcher);
        true
    }

    /// Makes the calling thread an ordinary one.
    pub(crate) fn end(&self) {
        if self.take_back(ORDINARY) {
            let _ = sys::set_policy(0, Policy::Other);
        }
    }

    /// What the watch has done since this was asked last.
    pub(crate) fn heed(&self) -> Option<Recalled> {
        let recalled = match self.state.load(Ordering::Acquire) {
            STARVING => Recalled::Starving,
            UNUSED => Recalled::Unused,
            WANTED => Recalled::Wanted,
            _ => return None,
        };
        // The watch marks it before it does it, too.
        let _ = sys::set_policy(0, Policy::Other);
        self.state.store(ORDINARY, Ordering::Release);
        Some(recalled)
    }

    /// Makes the tracer thread an ordinary one, from another thread. Whether it was none.
    pub(crate) fn recall(&self, why: Recalled) -> bool {
        let state = match why {
            Recalled::Starving => STARVING,
            Recalled::Unused => UNUSED,
            Recalled::Wanted => WANTED,
        };
        let is_recalled = self.take_back(state);
        if is_recalled {
            self.make_ordinary();
        }
        is_recalled
    }

    fn make_ordinary(&self) {
        let _ = sys::set_policy(self.tid.load(Ordering::Acquire), Policy::Other);
    }

    /// Who was recalled while it was about to give way does so although nobody watches it.
    fn is_unwatched(&self) -> bool {
        let tid = self.tid.load(Ordering::Acquire);
        !self.gives_way() && tid != 0 && sys::policy(tid) == Some(Policy::Idle)
    }

    fn take_back(&self, state: u8) -> bool {
        let change =
            self.state
                .compare_exchange(GIVING_WAY, state, Ordering::AcqRel, Ordering::Acquire);
        change.is_ok()
    }
}

/// The control thread's eye on a tracer thread that gives way.
pub(crate) struct Watch {
    allowed: Option<CpuSet>,
    hits: u32,
    quiet_rounds: u32,
    /// The CPU that is left to the tracer thread: whatever runs there for a moment makes the kernel
    /// look for another one for the thread that is continued.
    avoids: usize,
}

impl Watch {
    pub(crate) fn new(allowed: Option<CpuSet>) -> Watch {
        Watch {
            allowed,
            hits: 0,
            quiet_rounds: 0,
            avoids: usize::MAX,
        }
    }

    /// To be called every [`WATCH`].
    pub(crate) fn look(&mut self, deference: &Deference) {
        let hits = deference.hits.load(Ordering::Relaxed);
        match deference.gives_way() {
            true => self.avoid(deference.cpu.load(Ordering::Acquire)),
            false => self.rest(),
        }
        if deference.is_unwatched() {
            deference.make_ordinary();
        }
        if !deference.gives_way() || hits != self.hits {
            self.hits = hits;
            self.quiet_rounds = 0;
            return;
        }
        self.quiet_rounds += 1;
        let tid = deference.tid.load(Ordering::Acquire);
        let process = std::process::id().cast_signed();
        let runnable = proc::activity(process, tid).is_some_and(|now| now.state == b'R');
        if runnable {
            deference.recall(Recalled::Starving);
        } else if self.quiet_rounds >= UNUSED_ROUNDS
            && deference.recall(Recalled::Unused)
            && let Some(allowed) = &self.allowed
        {
            let _ = sched_setaffinity(Pid::from_raw(tid), allowed);
        }
    }

    /// Nothing is to be left to anybody.
    pub(crate) fn rest(&mut self) {
        self.avoid(usize::MAX);
    }

    /// Leaves a CPU to the tracer thread where there are others for us.
    fn avoid(&mut self, cpu: usize) {
        let Some(allowed) = &self.allowed else { return };
        if self.avoids == cpu {
            return;
        }
        self.avoids = cpu;
        let mut others = *allowed;
        let is_one = cpu < CpuSet::count() && others.unset(cpu).is_ok();
        let is_left = (0..CpuSet::count()).any(|cpu| others.is_set(cpu) == Ok(true));
        let _ = match is_one && is_left {
            true => sched_setaffinity(Pid::from_raw(0), &others),
            false => sched_setaffinity(Pid::from_raw(0), allowed),
        };
    }
}

/// Tried by a thread that ends then: without the privilege there is no way back.
fn can_come_back() -> bool {
    if sys::policy(0) != Some(Policy::Other)
        || ThreadFiles::own().and_then(|own| own.times()).is_none()
    {
        return false;
    }
    let tried = std::thread::spawn(|| {
        sys::set_policy(0, Policy::Idle).is_ok() && sys::set_policy(0, Policy::Other).is_ok()
    });
    tried.join().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::channel;

    use super::{Deference, Recalled, Watch};
    use crate::process::courtesy::cpus_of;
    use crate::process::proc;
    use crate::sys::{self, Policy};

    /// By a thread that wake-ups do not end.
    fn deference() -> Arc<Deference> {
        sys::install_wake_handler().unwrap();
        Arc::new(Deference::new(cpus_of(0)))
    }

    #[test]
    fn a_thread_that_has_no_hits_is_recalled() {
        let deference = deference();
        if !deference.is_possible {
            return;
        }
        let (work, orders) = channel::<()>();
        let (tell, told) = channel();
        let its = deference.clone();
        let thread = std::thread::spawn(move || {
            its.begins_here();
            assert!(its.begin());
            tell.send(sys::policy(0)).unwrap();
            // Asleep, as a tracer that waits for stops.
            orders.recv().unwrap();
            tell.send(sys::policy(0)).unwrap();
            assert_eq!(its.heed(), Some(Recalled::Unused));
            assert_eq!(its.heed(), None);
            assert!(its.begin());
            its.end();
            tell.send(sys::policy(0)).unwrap();
        });
        assert_eq!(told.recv().unwrap(), Some(Policy::Idle));
        let tid = deference.tid.load(Ordering::Acquire);
        let process = std::process::id().cast_signed();
        while proc::activity(process, tid).is_none_or(|now| now.state != b'S') {
            std::thread::yield_now();
        }
        let mut watch = Watch::new(deference.allowed());
        deference.beat();
        watch.look(&deference);
        assert!(deference.gives_way(), "there was a hit");
        while deference.gives_way() {
            watch.look(&deference);
        }
        work.send(()).unwrap();
        assert_eq!(told.recv().unwrap(), Some(Policy::Other));
        assert_eq!(told.recv().unwrap(), Some(Policy::Other));
        thread.join().unwrap();
    }

    #[test]
    fn who_gives_way_unwatched_is_made_ordinary() {
        let deference = deference();
        if !deference.is_possible {
            return;
        }
        let thread = std::thread::spawn(move || {
            deference.begins_here();
            assert!(deference.begin());
            assert!(deference.recall(Recalled::Wanted));
            assert_eq!(sys::policy(0), Some(Policy::Other));
            // As if the recall had come in the middle of `begin`.
            sys::set_policy(0, Policy::Idle).unwrap();
            Watch::new(deference.allowed()).look(&deference);
            assert_eq!(sys::policy(0), Some(Policy::Other));
            assert_eq!(deference.heed(), Some(Recalled::Wanted));
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_thread_that_waits_for_its_turn_is_recalled_at_once() {
        let deference = deference();
        if !deference.is_possible {
            return;
        }
        let its = deference.clone();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            its.begins_here();
            assert!(its.begin());
            tell.send(()).unwrap();
            // Wants to run all the time.
            while its.gives_way() {
                std::hint::spin_loop();
            }
            assert_eq!(its.heed(), Some(Recalled::Starving));
            assert_eq!(sys::policy(0), Some(Policy::Other));
        });
        told.recv().unwrap();
        let mut watch = Watch::new(deference.allowed());
        deference.beat();
        watch.look(&deference);
        while deference.gives_way() {
            watch.look(&deference);
        }
        thread.join().unwrap();
    }
}
