//! Waiting for what threads may be in the middle of, before the first byte and after the last.
//!
//! Letting go: a thread may be between an int3 and our seeing it when the byte is put back; the
//! tracer may leave only when no thread can be.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::error::TracerError;
use crate::process::courtesy::Portions;
use crate::process::engine::Engine;
use crate::process::proc::{self, SystemCall, TRAP_BIT};
use crate::sys::StopSignal;

/// CPU time after which a thread must have taken any trap that it was in
/// (`limits/facts/detrace2.c`; elapsed time proves nothing).
const SETTLED_CPU_NS: u64 = 1_000_000;
const PAUSE: Duration = Duration::from_micros(50);

/// A fork takes microseconds, or milliseconds where many threads wait for one memory map.
const FORK_PATIENCE: Duration = Duration::from_secs(5);

impl Engine {
    /// Waits until no thread can be in a fork that began before it was seized. The kernel does not
    /// report the child of such a fork, which would die of the bytes that it copied.
    pub(crate) fn outwait_forks(&mut self) -> Result<(), TracerError> {
        let began = Instant::now();
        let mut unsure = self.cpu_times();
        loop {
            self.drain();
            let mut portions = Portions::begin();
            unsure.retain(|&tid, &mut base| {
                portions.pause_if_due();
                self.may_be_forking(tid, base)
            });
            if unsure.is_empty() {
                return Ok(());
            }
            if began.elapsed() > FORK_PATIENCE {
                let pid = self.pid;
                return Err(TracerError::Protocol(format!(
                    "a thread of process {pid} may be forking, and does not come to an end of it"
                )));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn may_be_forking(&self, tid: i32, base_ns: u64) -> bool {
        if !self.threads.contains_key(&tid) {
            return false;
        }
        let Some(activity) = proc::activity(tid, tid) else {
            return false;
        };
        match activity.state {
            // One that runs meanwhile is looked at again.
            b'S' | b'D' => proc::system_call(tid).is_none_or(|call| self.copies_memory(&call)),
            b'R' => {
                proc::cpu_time_ns(tid, tid).is_some_and(|used| used <= base_ns + SETTLED_CPU_NS)
            }
            // Stopped, which none is inside a fork, or at its end.
            _ => false,
        }
    }

    fn copies_memory(&self, call: &SystemCall) -> bool {
        const SHARES: u64 = libc::CLONE_VM as u64;
        match call.number {
            libc::SYS_fork => true,
            libc::SYS_clone => call.first & SHARES == 0,
            libc::SYS_clone3 => {
                let mut flags = [0; 8];
                let read = self.text.read(call.first, &mut flags);
                read.is_err() || u64::from_le_bytes(flags) & SHARES == 0
            }
            _ => false,
        }
    }

    fn cpu_times(&self) -> HashMap<i32, u64> {
        let used = |&tid: &i32| (tid, proc::cpu_time_ns(tid, tid).unwrap_or(0));
        let mut times = HashMap::with_capacity(self.threads.len());
        let mut portions = Portions::begin();
        for tid in self.threads.keys() {
            portions.pause_if_due();
            times.extend([used(tid)]);
        }
        times
    }

    /// Rewinds threads that were on their way to a removed site, until every thread has been seen
    /// asleep in the kernel or has run on for a while. What happens meanwhile is dealt with, but
    /// not waited for: births and signals may go on for ever.
    pub(crate) fn settle(&mut self) {
        let mut unsettled = self.cpu_times();
        self.give_up_long_steps();
        loop {
            self.drain();
            self.take_pending_traps();
            let mut portions = Portions::begin();
            unsettled.retain(|&tid, &mut base| {
                portions.pause_if_due();
                !self.is_settled(tid, base)
            });
            if unsettled.is_empty() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        self.meet_copies();
    }

    /// Waits for the forked copies that have not reported yet. One that was made before the bytes
    /// were restored still has them, and it must not run before it is cleaned.
    fn meet_copies(&mut self) {
        let tracer = nix::unistd::gettid().as_raw();
        let is_unmet = |engine: &Engine, pid: i32| {
            !engine.threads.contains_key(&pid)
                && proc::status(pid).is_some_and(|status| {
                    status.tracer == tracer && !matches!(status.state, b'Z' | b'X')
                })
        };
        let mut unmet = proc::processes();
        let mut portions = Portions::begin();
        loop {
            unmet.retain(|&pid| {
                portions.pause_if_due();
                is_unmet(self, pid)
            });
            if unmet.is_empty() {
                return;
            }
            for &pid in &unmet {
                self.serve(pid);
            }
            self.drain();
            std::thread::sleep(PAUSE);
        }
    }

    /// A thread in a group-stop may still have the SIGTRAP of an int3 or a step before it. It has to
    /// take it while we are there; when we leave, the kernel stops it again.
    fn take_pending_traps(&mut self) {
        let stopped = self.threads.iter().filter(|(_, thread)| thread.listening);
        let waiting: Vec<i32> = stopped
            .map(|(&tid, _)| tid)
            .filter(|&tid| proc::status(tid).is_some_and(|status| status.pending & TRAP_BIT != 0))
            .collect();
        for tid in waiting {
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.listening = false;
            }
            self.go_on(tid, StopSignal::None);
        }
    }

    fn is_settled(&self, tid: i32, base_ns: u64) -> bool {
        let Some(thread) = self.threads.get(&tid) else {
            return true;
        };
        if self.long_steps.contains_key(&tid) {
            return false;
        }
        if thread.listening {
            return true;
        }
        let Some(activity) = proc::activity(tid, tid) else {
            return true;
        };
        match activity.state {
            b'S' | b'D' | b'I' | b'X' | b'Z' | b'T' => true,
            b'R' => proc::cpu_time_ns(tid, tid).is_none_or(|used| used > base_ns + SETTLED_CPU_NS),
            // Stopped for us: the next round serves it.
            _ => false,
        }
    }
}
