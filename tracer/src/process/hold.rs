//! Threads that stand still at a site while the agent reads what they were doing. Each is let on
//! by the agent or, whatever the agent does, when its time is over.

use std::time::Duration;

use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use crate::command::Slot;
use crate::process::engine::Engine;
use crate::process::monotonic_ns;
use crate::process::site::Presence;
use crate::shared::Counter;
use crate::sys::{self, StopSignal, UserRegisters};

/// Threads that stand still at the same time, at most. The hits of others are dropped and counted.
pub(crate) const MAX_HELD: usize = 4;
/// A wake-up that comes before we wait is lost, so it is repeated.
const REPEAT: Duration = Duration::from_millis(1);

/// A slot that one hit holds a thread for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    slot: Slot,
    /// Which of the slot's hits it is: an agent that is late must not let the next one on.
    hits: u64,
    is_waiting: bool,
}

impl Holder {
    pub(crate) fn new(slot: Slot, hits: u64) -> Holder {
        Holder {
            slot,
            hits,
            is_waiting: true,
        }
    }
}

/// A thread that stands still before the instruction of a site.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) tid: i32,
    address: u64,
    user: UserRegisters,
    /// It goes on when none of them waits any more.
    holders: Vec<Holder>,
    began: u64,
    /// On the monotonic clock.
    until: u64,
}

impl Held {
    fn is_waited_for(&self) -> bool {
        self.holders.iter().any(|holder| holder.is_waiting)
    }

    fn stood_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.began)
    }
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
    pub(crate) fn hold(
        &mut self,
        tid: i32,
        address: u64,
        user: &UserRegisters,
        holders: Vec<Holder>,
    ) {
        let began = monotonic_ns();
        let longest = holders
            .iter()
            .filter_map(|holder| self.desk.slots.get(&holder.slot)?.hold_ns());
        let until = began.saturating_add(longest.max().unwrap_or(0));
        // Before its stop is collected: should we be killed, it must be able to go on by itself.
        if sys::set_registers(tid, user).is_err() {
            return;
        }
        sys::collect_stop(tid);
        // Whoever is to be let on in time does not let others go first.
        self.follower.roam();
        self.held.push(Held {
            tid,
            address,
            user: *user,
            holders,
            began,
            until,
        });
        self.set_alarm();
    }

    /// The agent has read what it wanted for one hit of a slot. For how long the thread has stood
    /// still; `None` if it went on before.
    pub(crate) fn let_on(&mut self, tid: i32, slot: Slot, hits: u64) -> Option<u64> {
        let index = self.held.iter().position(|held| held.tid == tid)?;
        let held = &mut self.held[index];
        let holder = held
            .holders
            .iter_mut()
            .find(|holder| holder.is_waiting && holder.slot == slot && holder.hits == hits)?;
        holder.is_waiting = false;
        let stood = held.stood_ns();
        if !held.is_waited_for() {
            let held = self.held.swap_remove(index);
            self.free(held);
            self.set_alarm();
        }
        Some(stood)
    }

    /// Lets those on that stand still for one slot alone, which is about to go.
    pub(crate) fn free_of(&mut self, slot: Slot) {
        for index in (0..self.held.len()).rev() {
            let held = &mut self.held[index];
            let count = held.holders.len();
            held.holders.retain(|holder| holder.slot != slot);
            if held.holders.len() == count {
                continue;
            }
            let stood = held.stood_ns();
            if !held.is_waited_for() {
                let held = self.held.swap_remove(index);
                self.free(held);
            }
            self.charge(slot, stood, stood / in_u64(count));
        }
        self.set_alarm();
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
                    self.free(held);
                }
                false => index += 1,
            }
        }
        self.set_alarm();
    }

    /// Lets all on.
    pub(crate) fn free_all(&mut self) {
        while let Some(held) = self.held.pop() {
            self.free(held);
        }
        self.alarm.stop();
    }

    /// One that died meanwhile, or that another program's exec took away.
    pub(crate) fn forget_held(&mut self, tid: i32) {
        self.held.retain(|held| held.tid != tid);
    }

    fn free(&mut self, mut held: Held) {
        let presence = self.sites.get(held.address).map(|site| site.presence);
        match presence {
            Some(Presence::Planted) => {
                let stack_pointer = held.user.stack_pointer();
                self.desk.memory.begin_stop(held.tid, stack_pointer);
                self.resume(held.tid, held.address, &mut held.user);
            }
            // The instruction itself is there again.
            _ => self.let_go_on(held.tid, StopSignal::None),
        }
        let stood = self.went_on_at(held.began).saturating_sub(held.began);
        let share = stood / in_u64(held.holders.len());
        for holder in held.holders {
            self.charge(holder.slot, stood, share);
        }
        self.relieve(monotonic_ns());
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

    /// Counts a stop that was not over when the hit was, and a slot's share of it.
    fn charge(&mut self, slot: Slot, stood: u64, share: u64) {
        if let Some(entry) = self.desk.slots.get_mut(&slot) {
            entry.preflight.went_on();
        }
        self.desk.shared.add(slot, Counter::StopNs, share);
        let max = self.desk.shared.counter(slot, Counter::MaxStopNs);
        max.fetch_max(stood, std::sync::atomic::Ordering::Relaxed);
        self.spend(slot, share, monotonic_ns());
    }
}

/// A number to divide by.
fn in_u64(count: usize) -> u64 {
    u64::try_from(count.max(1)).unwrap_or(u64::MAX)
}
