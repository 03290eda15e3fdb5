//! Going on from a site: by computing the instruction, by stepping it somewhere else, or, as the last
//! resort, by stepping it where it stands.

use std::time::Duration;

use lr_probe::{Memory, MemoryFault, Registers};

use crate::plan::ResumeKind;
use crate::process::engine::Engine;
use crate::process::memory::StoppedMemory;
use crate::process::monotonic_ns;
use crate::process::proc;
use crate::process::site::Presence;
use crate::process::stop::Stop;
use crate::resume::{Cpu, Loan};
use crate::sys::{self, FLAG_TRAP, StopSignal, TrapOrigin, UserRegisters, WaitEvent, WaitTarget};

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

/// How long a byte may be away for a thread that has no CPU, and how often it is looked at.
const LONGEST_UNCOVERED_NS: u64 = 10_000_000;
const LOOK: Duration = Duration::from_micros(20);

/// Loads of an emulated instruction see memory as it is now.
struct NowMemory<'a>(&'a mut StoppedMemory);

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
    /// The thread has yet to make it, and stands at the site.
    AtInt3,
    /// The thread is gone.
    Gone,
}

/// One instruction that a thread executes for a site.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    address: u64,
    /// Where it is executed.
    at: u64,
    /// Before it, with the pc at the site.
    user: UserRegisters,
    /// The thread's signal mask, which is wider during the step.
    mask: u64,
    loan: Option<Loan>,
}

impl Step {
    fn new(address: u64, at: u64, user: &UserRegisters, loan: Option<Loan>) -> Step {
        Step {
            address,
            at,
            user: *user,
            mask: 0,
            loan,
        }
    }

    fn is_in_place(&self) -> bool {
        self.at == self.address
    }

    /// It was to be made in place, and our byte came back before it was.
    fn is_at_int3(&self, now: &UserRegisters) -> bool {
        self.is_in_place() && now.pc() == self.address.wrapping_add(1)
    }
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
            return match emulated.run(&mut cpu, next, &mut NowMemory(&mut self.desk.memory)) {
                Ok(()) => self.finish_emulation(tid, user, &cpu),
                // The target is to get its own signal, from its own instruction.
                Err(_) => self.step_in_place(tid, address, user),
            };
        }
        let Some(twin) = &site.twin else {
            return self.step_in_place(tid, address, user);
        };
        let memory = &mut NowMemory(&mut self.desk.memory);
        let at = twin.address;
        match Loan::new(&site.instruction, twin.loan, &cpu, memory) {
            Ok(loan) => self.step_elsewhere(tid, address, at, user, loan),
            Err(_) => self.step_in_place(tid, address, user),
        }
    }

    fn step_elsewhere(
        &mut self,
        tid: i32,
        address: u64,
        twin: u64,
        user: &UserRegisters,
        loan: Loan,
    ) {
        let before = Registers {
            general: user.general(),
            ..Registers::default()
        };
        let mut lent = before;
        loan.lend(&mut lent);
        let mut stepping = *user;
        stepping.set_general(&lent);
        stepping.set_pc(twin);
        self.step(tid, Step::new(address, twin, user, Some(loan)), &stepping);
    }

    /// Executes one instruction with the registers of `stepping`, and goes on from it.
    fn step(&mut self, tid: i32, mut step: Step, stepping: &UserRegisters) {
        let ended = self.begin_step(tid, &mut step, stepping);
        // Before the thread goes on: it may be here again at once.
        if step.is_in_place() {
            self.cover(step.address);
        }
        match ended {
            Some(stepped) => self.conclude(tid, &step, &stepped),
            // Nobody else is to wait for it. Signals are to come through as they would have, which
            // takes a stop: no system call is left early for it, since the thread is in none.
            None => {
                let _ = sys::interrupt(tid);
                self.long_steps.insert(tid, step);
            }
        }
    }

    /// How a step ended; `None` if the thread sleeps in it.
    fn begin_step(
        &mut self,
        tid: i32,
        step: &mut Step,
        stepping: &UserRegisters,
    ) -> Option<Stepped> {
        let Ok(mask) = sys::get_signal_mask(tid) else {
            return Some(Stepped::Gone);
        };
        step.mask = mask;
        let ready = sys::set_signal_mask(tid, step_mask()).is_ok()
            && sys::set_registers(tid, stepping).is_ok()
            && sys::single_step(tid).is_ok();
        if !ready {
            return Some(Stepped::Gone);
        }
        self.step_watch.begins();
        let ended = self.await_step(tid, step);
        self.step_watch.ends();
        ended
    }

    /// How a step ended; `None` if the thread sleeps in it, waiting for a page.
    fn await_step(&mut self, tid: i32, step: &Step) -> Option<Stepped> {
        loop {
            match sys::wait_stop(WaitTarget::Thread(tid), true) {
                Ok(WaitEvent::Interrupted) if self.step_watch.lasts() && sleeps(tid) => {
                    return None;
                }
                Ok(WaitEvent::Interrupted) => {}
                Ok(WaitEvent::Stopped { status, .. }) => {
                    match self.how_it_ended(tid, step, Stop::decode(status)) {
                        Some(stepped) => return Some(stepped),
                        // A SIGCONT was announced before the step was made.
                        None if sys::single_step(tid).is_err() => return Some(Stepped::Gone),
                        None => {}
                    }
                }
                // The death is still there for the main loop to see.
                _ => return Some(Stepped::Gone),
            }
        }
    }

    /// What a stop says of a step; `None` if it has not been made yet.
    fn how_it_ended(&mut self, tid: i32, step: &Step, stop: Stop) -> Option<Stepped> {
        let Ok(mut after) = sys::get_registers(tid) else {
            return Some(Stepped::Gone);
        };
        // The flag that stepping sets is not the target's, unless it had set it itself.
        after.set_flags(after.flags() & !FLAG_TRAP | step.user.flags() & FLAG_TRAP);
        let executed = after.pc() != step.at;
        match stop {
            Stop::Trap if step.is_at_int3(&after) => {
                let is_ours = sys::trap_origin(tid).ok() == Some(TrapOrigin::Breakpoint);
                match is_ours {
                    true => Some(Stepped::AtInt3),
                    false => Some(Stepped::Done(after, Then::GoOn)),
                }
            }
            Stop::Trap if executed => Some(Stepped::Done(after, Then::GoOn)),
            // A loop of one instruction, which is passed again.
            Stop::Trap if step.is_in_place() && is_trap_of_step(tid) => {
                Some(Stepped::Done(after, Then::GoOn))
            }
            // One that somebody sent came before the step.
            Stop::Trap => Some(Stepped::Faulted(libc::SIGTRAP)),
            Stop::Signal(signal) => Some(Stepped::Faulted(signal)),
            Stop::Group(_) if !executed => Some(Stepped::GroupStop),
            // Job control is looked at before signals are: the step's own SIGTRAP comes when
            // the thread goes on.
            Stop::Group(_) => {
                self.expect_step_trap(tid);
                Some(Stepped::Done(after, Then::StayInGroupStop))
            }
            _ if executed => {
                self.expect_step_trap(tid);
                Some(Stepped::Done(after, Then::GoOn))
            }
            _ => None,
        }
    }

    fn conclude(&mut self, tid: i32, step: &Step, stepped: &Stepped) {
        let _ = sys::set_signal_mask(tid, step.mask);
        match stepped {
            Stepped::Done(after, then) => {
                let mut after = *after;
                if let Some(loan) = &step.loan {
                    let before = Registers {
                        general: step.user.general(),
                        ..Registers::default()
                    };
                    let mut registers = Registers {
                        general: after.general(),
                        ..before
                    };
                    loan.give_back(&before, &mut registers);
                    after.set_general(&registers);
                }
                if sys::set_registers(tid, &after).is_ok() {
                    self.after_step(tid, *then);
                }
            }
            // What the signal tells of where it comes from would be of the other place.
            Stepped::Faulted(signal) if !step.is_in_place() && is_fault(tid, *signal) => {
                self.step_in_place(tid, step.address, &step.user);
            }
            other => self.not_stepped(tid, step.address, &step.user, other),
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
            Stepped::AtInt3 => {
                self.retry_later(tid, address);
                self.let_go_on(tid, StopSignal::None);
            }
            Stepped::Done(..) | Stepped::Gone => {}
        }
    }

    /// A stop of a thread that has a step to make. Returns whether that was all there was to it.
    pub(crate) fn goes_on_stepping(&mut self, tid: i32, stop: Stop) -> bool {
        let Some(step) = self.long_steps.remove(&tid) else {
            return false;
        };
        match self.how_it_ended(tid, &step, stop) {
            Some(stepped) => self.conclude(tid, &step, &stepped),
            None if self.is_leaving => self.conclude(tid, &step, &Stepped::AtInt3),
            None => self.step_again(tid, step),
        }
        true
    }

    /// A thread goes on waiting for its page, with the signals that it would have had by now.
    fn step_again(&mut self, tid: i32, step: Step) {
        let uncovered = step.is_in_place() && self.uncover(step.address);
        let goes_on = sys::set_signal_mask(tid, step.mask).is_ok() && sys::single_step(tid).is_ok();
        if goes_on && uncovered {
            // Once it sleeps it has fetched the instruction; it fetches it anew when the page is
            // there, and comes to our int3.
            let began = monotonic_ns();
            while is_running(tid) && monotonic_ns() - began < LONGEST_UNCOVERED_NS {
                std::thread::sleep(LOOK);
            }
        }
        if uncovered {
            self.cover(step.address);
        }
        if goes_on {
            self.long_steps.insert(tid, step);
        }
    }

    /// Gives up the steps that are still to be made: where their bytes are back, the threads make
    /// them without us.
    pub(crate) fn give_up_long_steps(&mut self) {
        for &tid in self.long_steps.keys() {
            let _ = sys::interrupt(tid);
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

    /// The last resort, for an instruction that is about to fault, or that the user named and
    /// nothing else is known for: the original byte is there for one step, during which other
    /// threads may pass unseen. Nobody else steps meanwhile, nor is the site given up: this thread
    /// does the one as the other. Who sleeps in it does so with the byte back.
    fn step_in_place(&mut self, tid: i32, address: u64, user: &UserRegisters) {
        // Nobody is to go first while the byte is away.
        self.follower.roam();
        if !self.uncover(address) {
            // It was given up meanwhile: the instruction itself is there.
            if sys::set_registers(tid, user).is_ok() {
                self.let_go_on(tid, StopSignal::None);
            }
            return;
        }
        self.step(tid, Step::new(address, address, user, None), user);
    }

    /// Takes our byte away for a moment. False where there is none.
    fn uncover(&mut self, address: u64) -> bool {
        let site = self.sites.get_mut(address);
        let Some(site) = site.filter(|site| site.presence == Presence::Planted) else {
            return false;
        };
        site.presence = Presence::Ghost;
        self.text.restore(address, site.original);
        true
    }

    fn cover(&mut self, address: u64) {
        if let Some(site) = self.sites.get_mut(address)
            && self.text.plant(address, site.original).is_ok()
        {
            site.presence = Presence::Planted;
        }
    }
}

/// It waits for something, and not for a CPU.
fn sleeps(tid: i32) -> bool {
    proc::activity(tid, tid).is_some_and(|activity| matches!(activity.state, b'S' | b'D'))
}

fn is_running(tid: i32) -> bool {
    proc::activity(tid, tid).is_some_and(|activity| activity.state == b'R')
}

fn is_trap_of_step(tid: i32) -> bool {
    sys::trap_origin(tid).ok() == Some(TrapOrigin::Step)
}

/// Whether the processor raised the signal that a thread is stopped with.
fn is_fault(tid: i32, signal: i32) -> bool {
    const FAULTS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];
    FAULTS.contains(&signal) && sys::is_from_kernel(tid).unwrap_or(false)
}

fn step_mask() -> u64 {
    SYNCHRONOUS
        .iter()
        .fold(u64::MAX, |mask, signal| mask & !(1 << (signal - 1)))
}
