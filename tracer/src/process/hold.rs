//! Threads that stand still at a site while the agent reads what they were doing. Each is let on
//! by the agent or, whatever the agent does, when its time is over.

use std::time::Duration;

use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use crate::command::Slot;
use crate::process::engine::{Engine, go_on};
use crate::process::monotonic_ns;
use crate::process::site::Presence;
use crate::shared::Counter;
use crate::sys::{self, StopSignal, UserRegisters};

/// Threads that stand still at the same time, at most. The hits of others are dropped and counted.
pub(crate) const MAX_HELD: usize = 4;
/// A wake-up that comes before we wait is lost, so it is repeated.
const REPEAT: Duration = Duration::from_millis(1);

/// A thread that stands still before the instruction of a site.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) tid: i32,
    address: u64,
    user: UserRegisters,
    /// Who wait for it; it goes on when each of them has let it on.
    slots: Vec<Slot>,
    began: u64,
    /// On the monotonic clock.
    until: u64,
}

/// Wakes the tracer thread when a thread's time is over.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Timer>);

impl Alarm {
    /// Must be called from the thread that is to be woken. Without a timer, which needs memory and
    /// a free number, nobody is held.
    fn set(&mut self, in_ns: u64) -> bool {
        if self.0.is_none() {
            let notify = SigevNotify::SigevThreadId {
                signal: Signal::try_from(sys::WAKE).expect("a signal that there is"),
                thread_id: nix::unistd::gettid().as_raw(),
                si_value: 0,
            };
            self.0 = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify)).ok();
        }
        let first = Duration::from_nanos(in_ns.max(1)).into();
        let expiration = Expiration::IntervalDelayed(first, REPEAT.into());
        self.0
            .as_mut()
            .is_some_and(|timer| timer.set(expiration, TimerSetTimeFlags::empty()).is_ok())
    }

    fn stop(&mut self) {
        self.0 = None;
    }
}

impl Engine {
    /// Leaves a thread where it is for the slots that hold it. `user` has the pc at the site.
    pub(crate) fn hold(&mut self, tid: i32, address: u64, user: &UserRegisters, slots: Vec<Slot>) {
        let began = monotonic_ns();
        let longest = slots
            .iter()
            .filter_map(|slot| self.desk.slots.get(slot)?.hold_ns());
        let until = began.saturating_add(longest.max().unwrap_or(0));
        // Before its stop is collected: should we be killed, it must be able to go on by itself.
        if sys::set_registers(tid, user).is_err() {
            return;
        }
        sys::collect_stop(tid);
        self.held.push(Held {
            tid,
            address,
            user: *user,
            slots,
            began,
            until,
        });
        self.set_alarm();
    }

    /// The agent has read what it wanted for one slot. For how long the thread has stood still;
    /// `None` if it went on before.
    pub(crate) fn let_on(&mut self, tid: i32, slot: Slot) -> Option<u64> {
        let index = self.held.iter().position(|held| held.tid == tid)?;
        let held = &mut self.held[index];
        let waiting = held.slots.len();
        held.slots.retain(|&waiting| waiting != slot);
        let was_waited_for = held.slots.len() < waiting;
        let stood = monotonic_ns().saturating_sub(held.began);
        if held.slots.is_empty() {
            let held = self.held.swap_remove(index);
            self.free(held, Some(slot));
            self.set_alarm();
        }
        was_waited_for.then_some(stood)
    }

    /// Lets those on that stand still for one slot alone.
    pub(crate) fn free_of(&mut self, slot: Slot) {
        let tids: Vec<i32> = self.held.iter().map(|held| held.tid).collect();
        for tid in tids {
            self.let_on(tid, slot);
        }
    }

    /// Lets those on whose time is over.
    pub(crate) fn free_overdue(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let now = monotonic_ns();
        let mut index = 0;
        while index < self.held.len() {
            match self.held[index].until <= now {
                true => {
                    let held = self.held.swap_remove(index);
                    self.free(held, None);
                }
                false => index += 1,
            }
        }
        self.set_alarm();
    }

    /// Lets all on.
    pub(crate) fn free_all(&mut self) {
        while let Some(held) = self.held.pop() {
            self.free(held, None);
        }
        self.alarm.stop();
    }

    /// One that died meanwhile, or that another program's exec took away.
    pub(crate) fn forget_held(&mut self, tid: i32) {
        self.held.retain(|held| held.tid != tid);
    }

    fn free(&mut self, mut held: Held, last: Option<Slot>) {
        let presence = self.sites.get(held.address).map(|site| site.presence);
        match presence {
            Some(Presence::Planted) => {
                self.desk.memory.begin_stop(held.tid);
                self.resume(held.tid, held.address, &mut held.user);
            }
            // The instruction itself is there again.
            _ => go_on(held.tid, StopSignal::None),
        }
        let stood = monotonic_ns().saturating_sub(held.began);
        for slot in held.slots.into_iter().chain(last) {
            self.charge(slot, stood);
        }
    }

    fn set_alarm(&mut self) {
        let Some(next) = self.held.iter().map(|held| held.until).min() else {
            return self.alarm.stop();
        };
        if !self.alarm.set(next.saturating_sub(monotonic_ns())) {
            self.free_all();
        }
    }

    /// Whether one more thread may be held.
    pub(crate) fn may_hold(&self) -> bool {
        self.held.len() < MAX_HELD
    }

    /// Counts a stop that was not over when the hit was.
    fn charge(&mut self, slot: Slot, cost: u64) {
        let now = monotonic_ns();
        self.desk.shared.add(slot, Counter::StopNs, cost);
        let max = self.desk.shared.counter(slot, Counter::MaxStopNs);
        max.fetch_max(cost, std::sync::atomic::Ordering::Relaxed);
        let process_allows = self.process_budget.take(cost, now);
        self.spend(slot, cost, now, process_allows);
    }
}
