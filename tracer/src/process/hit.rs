//! The stop path: what happens between an int3 and the thread's going on.

use lr_probe::{Register, Registers};

use crate::command::Slot;
use crate::process::cost::Seen;
use crate::process::desk::{Hit, Ran};
use crate::process::engine::Engine;
use crate::process::hold::Holder;
use crate::process::proc::TRAP_BIT;
use crate::process::site::Presence;
use crate::process::slot::{SlotState, dearest};
use crate::process::text::INT3;
use crate::process::{monotonic_ns, realtime_ns};
use crate::shared::Counter;
use crate::sys::{self, StopSignal, TrapOrigin, UserRegisters};

/// Hits of a thread between two looks at its signal mask.
const MASK_PERIOD: u32 = 64;

impl Engine {
    /// A thread stopped with SIGTRAP: at one of our sites, or for reasons of its own.
    pub(crate) fn on_trap(&mut self, tid: i32) {
        let began = monotonic_ns();
        if self.is_trap_of_our_step(tid) {
            return self.go_on(tid, StopSignal::None);
        }
        let Ok(mut user) = sys::get_registers(tid) else {
            return;
        };
        let address = user.pc().wrapping_sub(1);
        let Some(site) = self.sites.get(address) else {
            return self.go_on(tid, StopSignal::Deliver(libc::SIGTRAP));
        };
        // Behind a longer instruction's first byte nothing but our int3 can have led. Behind a
        // one-byte instruction a thread may stand by itself when it is sent a SIGTRAP.
        let one_byte = site.instruction.length() == 1;
        if one_byte && sys::trap_origin(tid).ok() != Some(TrapOrigin::Breakpoint) {
            return self.go_on(tid, StopSignal::Deliver(libc::SIGTRAP));
        }
        self.desk.memory.begin_stop(tid, user.stack_pointer());
        user.set_pc(address);
        if site.presence == Presence::Ghost {
            let mut byte = [0];
            // Ours is gone: this is one of what is mapped there now, or another tool's.
            if self.text.read(address, &mut byte).is_ok() && byte[0] == INT3 {
                return self.go_on(tid, StopSignal::Deliver(libc::SIGTRAP));
            }
            self.put_mask_back(tid);
            if sys::set_registers(tid, &user).is_ok() {
                self.go_on(tid, StopSignal::None);
            }
            return;
        }
        let first_time = self
            .threads
            .get_mut(&tid)
            .is_none_or(|thread| thread.retry.take() != Some(address));
        let holders = match first_time {
            true => self.run_programs(tid, address, &user),
            false => Vec::new(),
        };
        self.put_mask_back(tid);
        match holders.is_empty() {
            true => self.resume(tid, address, &mut user),
            false => self.hold(tid, address, &user, holders),
        }
        if first_time {
            self.account(tid, address, began);
        }
    }

    /// The trap of a step whose end we learned of in another way.
    fn is_trap_of_our_step(&mut self, tid: i32) -> bool {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return false;
        };
        std::mem::take(&mut thread.owes_step_trap)
            && sys::trap_origin(tid).ok() == Some(TrapOrigin::Step)
    }

    /// Returns the slots for which the thread is to stand still.
    fn run_programs(&mut self, tid: i32, address: u64, user: &UserRegisters) -> Vec<Holder> {
        // Empty, it costs no allocation.
        let mut holders = Vec::new();
        let may_hold = self.may_hold();
        let Some(site) = self.sites.get(address) else {
            return holders;
        };
        let mut registers = Registers {
            general: user.general(),
            ..Registers::default()
        };
        registers.set(Register::RIP, address);
        if site.users.iter().any(|user| user.program.needs_vectors())
            && let Ok(vector) = sys::get_vectors(tid)
        {
            registers.vector = vector;
        }
        let time_ns = realtime_ns();
        let hit = Hit {
            pid: self.pid.cast_unsigned(),
            tid: tid.cast_unsigned(),
            registers: &registers,
            fs_base: user.fs_base(),
            time_ns,
            may_hold,
        };
        for user in &site.users {
            if let Ran::Holds { hits } = self.desk.run_program(user, &hit) {
                holders.push(Holder::new(user.slot, hits));
            }
        }
        holders
    }

    /// The kernel unblocks a blocked SIGTRAP to deliver an int3's (`limits/facts/sigtrap.c`), so
    /// whether it was blocked has to be told from the rest of the mask: that of a thread which is
    /// known to have blocked it with just these others, or which blocks everything else.
    fn put_mask_back(&mut self, tid: i32) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        thread.hits = thread.hits.wrapping_add(1);
        if thread.mask_with_trap.is_none() && thread.hits % MASK_PERIOD != 1 {
            return;
        }
        let Ok(mask) = sys::get_signal_mask(tid) else {
            return;
        };
        let with_trap = mask | TRAP_BIT;
        if mask == with_trap {
            return;
        }
        if thread.mask_with_trap == Some(with_trap) || blocks_all(with_trap) {
            thread.mask_with_trap.get_or_insert(with_trap);
            let _ = sys::set_signal_mask(tid, with_trap);
        } else if thread.mask_with_trap.is_some_and(blocks_all) {
            // Every thread is born so (pthread_create of glibc), and has been let have signals since.
            thread.mask_with_trap = None;
        }
    }

    /// What the stop cost, and what follows: a limit that is reached, a budget that is used up.
    /// The thread runs again already.
    fn account(&mut self, tid: i32, address: u64, began: u64) {
        let now = monotonic_ns();
        let went_on = self.went_on_at(began);
        let thread = self.threads.get_mut(&tid);
        let running_since = thread.map_or(began, |thread| {
            std::mem::replace(&mut thread.running_since, went_on)
        });
        let cost = self.clock.cost(Seen {
            tid,
            began,
            went_on,
            running_since,
            placement: self.follower.placement(),
        });
        if self.held.is_empty() {
            self.follower
                .after_hit(self.pid, tid, now, self.turns.slept);
        }
        let Some(site) = self.sites.get(address) else {
            return;
        };
        let share = cost / u64::try_from(site.users.len().max(1)).unwrap_or(1);
        let mut index = 0;
        while let Some(user) = self
            .sites
            .get(address)
            .and_then(|site| site.users.get(index))
        {
            self.account_slot(user.slot, share, now);
            index += 1;
        }
        self.relieve(now);
    }

    fn account_slot(&mut self, slot: Slot, cost: u64, now: u64) {
        self.desk.shared.add(slot, Counter::StopNs, cost);
        let max = self.desk.shared.counter(slot, Counter::MaxStopNs);
        max.fetch_max(cost, std::sync::atomic::Ordering::Relaxed);
        self.spend(slot, cost, now);
    }

    /// Takes a cost out of a slot's budget and of the process's, and unplants the slot where it is
    /// done or has no more. What may cost what it likes is no burden for the others.
    pub(crate) fn spend(&mut self, slot: Slot, cost: u64, now: u64) {
        let Some(entry) = self.desk.slots.get_mut(&slot) else {
            return;
        };
        if !entry.ignore_quota {
            self.process_is_over |= !self.process_budget.take(cost, now);
        }
        if entry.state != SlotState::Active {
            return;
        }
        let within_budget = entry.budget.take(cost, now);
        let has_to_pause = entry.preflight.has_to_pause(within_budget);
        if entry.is_exhausted() {
            self.suspend(slot, SlotState::Done);
            let pushed = self.desk.producer.done(slot);
            self.desk.notify(pushed);
        } else if has_to_pause && !entry.ignore_quota {
            self.pause(slot);
        }
    }

    /// Where all together have cost the process more than its share, the dearest of late makes
    /// way, and not the one whose hit happened to be the last.
    pub(crate) fn relieve(&mut self, now: u64) {
        if !std::mem::take(&mut self.process_is_over) {
            return;
        }
        let Some(slot) = dearest(&self.desk.slots, now) else {
            return;
        };
        let entry = self.desk.slots.get_mut(&slot);
        if entry.is_some_and(|entry| entry.preflight.has_to_pause(false)) {
            self.pause(slot);
        }
    }

    fn pause(&mut self, slot: Slot) {
        self.desk.shared.add(slot, Counter::Pauses, 1);
        self.suspend(slot, SlotState::Paused);
        let pushed = self.desk.producer.paused(slot);
        self.desk.notify(pushed);
    }
}

/// Every signal that can be blocked, but for the two that glibc keeps for itself.
fn blocks_all(mask: u64) -> bool {
    const KILL_STOP: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);
    const GLIBC_INTERNAL: u64 = 1 << (32 - 1) | 1 << (33 - 1);
    mask | KILL_STOP | GLIBC_INTERNAL == u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_mask_blocks_all() {
        assert!(blocks_all(u64::MAX));
        assert!(blocks_all(0xffff_fffe_7ffb_feff));
        assert!(!blocks_all(!(1 << (libc::SIGTERM - 1))));
        assert!(!blocks_all(!TRAP_BIT));
        assert!(!blocks_all(0));
    }
}
