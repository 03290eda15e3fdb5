//! Going on from a site: by computing the instruction, or by stepping it somewhere else.

use lr_probe::{Memory, MemoryFault, Registers};

use crate::plan::ResumeKind;
use crate::process::engine::Engine;
use crate::process::memory::StoppedMemory;
use crate::process::site::Presence;
use crate::process::stop::Stop;
use crate::resume::{Cpu, Loan};
use crate::sys::{self, FLAG_TRAP, StopSignal, UserRegisters, WaitEvent, WaitTarget};

/// Signals that the stepped instruction itself may raise; all others are held back for the step,
/// so that their order and siginfo stay (`limits/facts/mask.c`).
const SYNCHRONOUS: [i32; 6] = [
    libc::SIGTRAP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSYS,
];

/// Loads of an emulated instruction see memory as it is now.
struct NowMemory<'a>(&'a StoppedMemory);

impl Memory for NowMemory<'_> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        self.0.read_now(address, out)
    }
}

/// How one step ended.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one step; a box would allocate"
)]
enum Stepped {
    /// The instruction was executed.
    Done(UserRegisters, Then),
    /// It raised a signal, which is about to be delivered.
    Faulted(i32),
    /// Job control came before it.
    GroupStop,
    /// The thread is gone.
    Gone,
}

/// What follows an executed instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    GoOn,
    /// Job control stopped the process meanwhile.
    StayInGroupStop,
}

impl Engine {
    /// Lets a thread that stands at a site go on as if the site were not there. `user` has the pc
    /// at the site.
    pub(crate) fn resume(&mut self, tid: i32, address: u64, user: &mut UserRegisters) {
        let Some(site) = self.sites.get(address) else {
            return;
        };
        let next = site.instruction.next();
        let mut cpu = Cpu {
            registers: Registers {
                general: user.general(),
                ..Registers::default()
            },
            flags: user.flags(),
            fs_base: user.fs_base(),
            gs_base: user.gs_base(),
        };
        if let Some(emulated) = site.instruction.emulated()
            && site.plan.kind == ResumeKind::Emulate
        {
            return match emulated.run(&mut cpu, next, &mut NowMemory(&self.desk.memory)) {
                Ok(()) => self.finish_emulation(tid, user, &cpu),
                // The target is to get its own signal, from its own instruction.
                Err(_) => self.step_in_place(tid, address, user),
            };
        }
        let Some(twin) = &site.twin else {
            return self.step_in_place(tid, address, user);
        };
        let memory = &mut NowMemory(&self.desk.memory);
        let at = twin.address;
        match Loan::new(&site.instruction, twin.loan, &cpu, memory) {
            Ok(loan) => self.step_elsewhere(tid, address, at, user, &loan),
            Err(_) => self.step_in_place(tid, address, user),
        }
    }

    fn step_elsewhere(
        &mut self,
        tid: i32,
        address: u64,
        twin: u64,
        user: &UserRegisters,
        loan: &Loan,
    ) {
        let before = Registers {
            general: user.general(),
            ..Registers::default()
        };
        let mut lent = before;
        loan.lend(&mut lent);
        let mut stepping = *user;
        stepping.set_general(&lent);
        match self.step_at(tid, twin, &stepping) {
            Stepped::Done(mut after, then) => {
                let mut registers = Registers {
                    general: after.general(),
                    ..before
                };
                loan.give_back(&before, &mut registers);
                after.set_general(&registers);
                if sys::set_registers(tid, &after).is_ok() {
                    self.after_step(tid, then);
                }
            }
            other => self.not_stepped(tid, address, user, &other),
        }
    }

    /// The instruction did not complete: the thread is put back before it.
    fn not_stepped(&mut self, tid: i32, address: u64, user: &UserRegisters, how: &Stepped) {
        if matches!(how, Stepped::Gone) || sys::set_registers(tid, user).is_err() {
            return;
        }
        match how {
            Stepped::Faulted(signal) => {
                if !SYNCHRONOUS.contains(signal) {
                    self.retry_later(tid, address);
                }
                self.let_go_on(tid, StopSignal::Deliver(*signal));
            }
            Stepped::GroupStop => {
                self.retry_later(tid, address);
                self.leave_in_group_stop(tid);
            }
            Stepped::Done(..) | Stepped::Gone => {}
        }
    }

    /// Executes one instruction at `at` with the registers of `user`.
    fn step_at(&mut self, tid: i32, at: u64, user: &UserRegisters) -> Stepped {
        let mut stepping = *user;
        stepping.set_pc(at);
        let Ok(mask) = sys::get_signal_mask(tid) else {
            return Stepped::Gone;
        };
        let ready = sys::set_signal_mask(tid, step_mask()).is_ok()
            && sys::set_registers(tid, &stepping).is_ok()
            && sys::single_step(tid).is_ok();
        if !ready {
            return Stepped::Gone;
        }
        let stepped = self.await_step(tid, at, user.flags());
        let _ = sys::set_signal_mask(tid, mask);
        stepped
    }

    fn await_step(&mut self, tid: i32, at: u64, flags: u64) -> Stepped {
        loop {
            let status = match sys::wait_stop(WaitTarget::Thread(tid), true) {
                Ok(WaitEvent::Interrupted) => continue,
                Ok(WaitEvent::Stopped { status, .. }) => status,
                // The death is still there for the main loop to see.
                _ => return Stepped::Gone,
            };
            let Ok(mut after) = sys::get_registers(tid) else {
                return Stepped::Gone;
            };
            // The flag that stepping sets is not the target's, unless it had set it itself.
            after.set_flags(after.flags() & !FLAG_TRAP | flags & FLAG_TRAP);
            let executed = after.pc() != at;
            match Stop::decode(status) {
                Stop::Trap if executed => return Stepped::Done(after, Then::GoOn),
                // One that somebody sent came before the step.
                Stop::Trap => return Stepped::Faulted(libc::SIGTRAP),
                Stop::Signal(signal) => return Stepped::Faulted(signal),
                Stop::Group(_) if !executed => return Stepped::GroupStop,
                // Job control is looked at before signals are: the step's own SIGTRAP comes when
                // the thread goes on.
                Stop::Group(_) => {
                    self.expect_step_trap(tid);
                    return Stepped::Done(after, Then::StayInGroupStop);
                }
                _ if executed => {
                    self.expect_step_trap(tid);
                    return Stepped::Done(after, Then::GoOn);
                }
                // A SIGCONT was announced before the step was made.
                _ if sys::single_step(tid).is_err() => return Stepped::Gone,
                _ => {}
            }
        }
    }

    fn finish_emulation(&mut self, tid: i32, user: &mut UserRegisters, cpu: &Cpu) {
        user.set_general(&cpu.registers);
        user.set_flags(cpu.flags);
        if sys::set_registers(tid, user).is_ok() {
            self.let_go_on(tid, StopSignal::None);
        }
    }

    fn after_step(&mut self, tid: i32, then: Then) {
        match then {
            Then::GoOn => self.let_go_on(tid, StopSignal::None),
            Then::StayInGroupStop => self.leave_in_group_stop(tid),
        }
    }

    fn expect_step_trap(&mut self, tid: i32) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.owes_step_trap = true;
        }
    }

    /// The thread will come to the int3 again; its programs have run.
    fn retry_later(&mut self, tid: i32, address: u64) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.retry = Some(address);
        }
    }

    /// The last resort, for an instruction that is about to fault: the original byte is there for
    /// one step, during which other threads may pass unseen.
    fn step_in_place(&mut self, tid: i32, address: u64, user: &UserRegisters) {
        let Some(site) = self.sites.get_mut(address) else {
            return;
        };
        let original = site.original;
        site.presence = Presence::Ghost;
        // Nobody is to go first while the byte is away.
        self.follower.roam();
        self.text.restore(address, original);
        match self.step_at(tid, address, user) {
            Stepped::Done(after, then) => {
                if sys::set_registers(tid, &after).is_ok() {
                    self.after_step(tid, then);
                }
            }
            other => self.not_stepped(tid, address, user, &other),
        }
        if self.text.plant(address, original).is_ok()
            && let Some(site) = self.sites.get_mut(address)
        {
            site.presence = Presence::Planted;
        }
    }
}

fn step_mask() -> u64 {
    SYNCHRONOUS
        .iter()
        .fold(u64::MAX, |mask, signal| mask & !(1 << (signal - 1)))
}
