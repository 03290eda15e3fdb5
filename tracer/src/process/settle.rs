//! Letting go. A thread may be between an int3 and our seeing it when the byte is put back; the
//! tracer may leave only when no thread can be.

use std::collections::HashMap;
use std::time::Duration;

use crate::process::engine::Engine;
use crate::process::proc;

/// CPU time after which a thread must have taken any trap that it was in
/// (`limits/facts/detrace2.c`; elapsed time proves nothing).
const SETTLED_CPU_NS: u64 = 1_000_000;
const PAUSE: Duration = Duration::from_micros(50);

impl Engine {
    /// Rewinds threads that were on their way to a removed site, until every thread has been seen
    /// asleep in the kernel or has run on for a while.
    pub(crate) fn settle(&mut self) {
        let mut unsettled: HashMap<i32, u64> = self
            .threads
            .keys()
            .map(|&tid| (tid, proc::cpu_time_ns(tid, tid).unwrap_or(0)))
            .collect();
        let mut quiet_rounds = 0;
        while quiet_rounds < 2 {
            if self.drain() {
                quiet_rounds = 0;
            }
            unsettled.retain(|&tid, &mut base| !self.is_settled(tid, base));
            if unsettled.is_empty() {
                quiet_rounds += 1;
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn is_settled(&self, tid: i32, base_ns: u64) -> bool {
        let Some(thread) = self.threads.get(&tid) else {
            return true;
        };
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
