//! What a stop costs the target (design, section 4). We see a stop when it has begun, and do not
//! see its end; between two clocks of ours lies a small part of it (`limits/facts/stoptime.c`). So
//! the rest is measured once, with a child of our own that notes what its stops cost it, for each
//! way in which a thread and the tracer can be placed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::process::courtesy::{Portions, busy_cpus};
use crate::process::monotonic_ns;
use crate::process::placement::Placement;
use crate::sys::{self, StopSignal, Trapper, WaitEvent, WaitTarget};

/// Until it is measured, and where it cannot be (`limits/resume.c`).
const SAME_CPU_NS: u64 = 4_000;
const OTHER_CPU_NS: u64 = 60_000;

/// Stops that are looked at for each placement, and those before them, which warm up.
const STOPS: usize = 33;
const WARM_UP: usize = 8;

/// What a measurement is believed. Beyond that it has measured how busy the machine is.
const LEAST_NS: u64 = 500;
const MOST_NS: u64 = 300_000;

/// If nothing happened for so long, the tracer was asleep, and a stop that it wakes for has not
/// waited for others.
const ASLEEP_NS: u64 = 15_000;

/// From the int3 to our seeing it, and from our letting the thread go on to its running.
#[derive(Debug)]
pub(crate) struct WakeCosts {
    same_cpu: AtomicU64,
    other_cpu: AtomicU64,
}

impl WakeCosts {
    pub(crate) fn new() -> WakeCosts {
        WakeCosts {
            same_cpu: AtomicU64::new(SAME_CPU_NS),
            other_cpu: AtomicU64::new(OTHER_CPU_NS),
        }
    }

    fn of(&self, placement: Placement) -> u64 {
        match placement {
            Placement::SameCpu => self.same_cpu.load(Ordering::Relaxed),
            Placement::OtherCpu => self.other_cpu.load(Ordering::Relaxed),
        }
    }

    /// Measures them on a thread of its own. What cannot be measured stays as it was.
    /// One CPU, or both, may be one on which the process runs: where it may, it is another.
    pub(crate) fn calibrate(self: &Arc<WakeCosts>, pid: i32, allowed: Option<CpuSet>) {
        let costs = self.clone();
        let measure = move || {
            let Some(allowed) = allowed else { return };
            let is_allowed = |&cpu: &usize| allowed.is_set(cpu) == Ok(true);
            let mut cpus: Vec<usize> = (0..CpuSet::count()).filter(is_allowed).collect();
            let busy = busy_cpus(pid);
            cpus.sort_by_key(|cpu| busy.contains(cpu));
            let mut cpus = cpus.into_iter();
            let Some(own) = cpus.next() else { return };
            if let Ok(nanos) = measure_on(own, own) {
                costs.same_cpu.store(nanos, Ordering::Relaxed);
            }
            if let Some(other) = cpus.next()
                && let Ok(nanos) = measure_on(own, other)
            {
                costs.other_cpu.store(nanos, Ordering::Relaxed);
            }
        };
        let name = "lr-calibrate".to_owned();
        // It is a better figure, and not worth an error.
        let _ = std::thread::Builder::new().name(name).spawn(measure);
    }
}

/// The median of what stops cost a thread on CPU `its`, beyond what a tracer on `own` sees of them.
/// Binds the calling thread.
fn measure_on(own: usize, its: usize) -> io::Result<u64> {
    let mut set = CpuSet::new();
    set.set(own)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    let trapper = Trapper::spawn(its, WARM_UP + STOPS)?;
    let mut seen = Vec::with_capacity(WARM_UP + STOPS);
    let mut portions = Portions::begin();
    while let WaitEvent::Stopped { .. } = sys::wait_stop(WaitTarget::Thread(trapper.pid()), true)? {
        let began = monotonic_ns();
        // What every hit does at least.
        let registers = sys::get_registers(trapper.pid())?;
        sys::set_registers(trapper.pid(), &registers)?;
        portions.pause_if_due();
        seen.push(monotonic_ns().saturating_sub(began));
        sys::continue_with(trapper.pid(), StopSignal::None)?;
    }
    let pairs = trapper.kept_ns().zip(seen).skip(WARM_UP);
    let mut beyond: Vec<u64> = pairs
        .map(|(kept, seen)| kept.saturating_sub(seen))
        .collect();
    if beyond.is_empty() {
        return Err(io::Error::other("no stop was seen"));
    }
    beyond.sort_unstable();
    Ok(beyond[beyond.len() / 2].clamp(LEAST_NS, MOST_NS))
}

/// When the tracer was busy, for the time that stops wait in line.
#[derive(Debug)]
pub(crate) struct StopClock {
    costs: Arc<WakeCosts>,
    /// Since when there has always been something to do.
    busy_since: u64,
    /// The last stop: whose it was, and its end.
    last: (i32, u64),
}

/// A stop as the tracer saw it, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) tid: i32,
    pub(crate) began: u64,
    pub(crate) went_on: u64,
    /// When the thread went on from its last stop.
    pub(crate) running_since: u64,
    pub(crate) placement: Placement,
}

impl StopClock {
    pub(crate) fn new(costs: Arc<WakeCosts>) -> StopClock {
        StopClock {
            costs,
            busy_since: 0,
            last: (0, 0),
        }
    }

    /// Nanoseconds for which the thread did not run.
    pub(crate) fn cost(&mut self, seen: Seen) -> u64 {
        let (last_tid, last_end) = self.last;
        if seen.began.saturating_sub(last_end) > ASLEEP_NS {
            self.busy_since = seen.began;
        }
        // It may have run for a part of that: this is the most that it can have waited.
        let queued = match last_tid == seen.tid {
            true => 0,
            false => seen
                .began
                .saturating_sub(self.busy_since.max(seen.running_since)),
        };
        self.last = (seen.tid, seen.went_on);
        queued + seen.went_on.saturating_sub(seen.began) + self.costs.of(seen.placement)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{ASLEEP_NS, Seen, StopClock, WakeCosts, measure_on};
    use crate::process::placement::Placement;

    fn seen(tid: i32, began: u64, running_since: u64) -> Seen {
        Seen {
            tid,
            began,
            went_on: began + 1_000,
            running_since,
            placement: Placement::SameCpu,
        }
    }

    #[test]
    fn who_waits_in_line_loses_the_time_of_those_before() {
        let costs = Arc::new(WakeCosts::new());
        let wake = costs.of(Placement::SameCpu);
        let mut clock = StopClock::new(costs);
        let start = 10 * ASLEEP_NS;
        assert_eq!(clock.cost(seen(1, start, 0)), 1_000 + wake);
        assert_eq!(clock.cost(seen(2, start + 2_000, 0)), 3_000 + wake);
        assert_eq!(clock.cost(seen(3, start + 4_000, 0)), 5_000 + wake);
        // It went on behind its own stop, and may have stopped again at once.
        assert_eq!(
            clock.cost(seen(1, start + 6_000, start + 1_000)),
            6_000 + wake
        );
        let later = start + 2 * ASLEEP_NS;
        assert_eq!(clock.cost(seen(2, later, start + 3_000)), 1_000 + wake);
    }

    #[test]
    fn a_stop_costs_more_than_its_tracer_sees() {
        let measured = std::thread::spawn(|| {
            let allowed = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
            let own = (0..nix::sched::CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true));
            measure_on(own.unwrap(), own.unwrap()).unwrap()
        });
        assert!(measured.join().unwrap() > super::LEAST_NS);
    }
}
