//! Times for which every byte is back although actions are active: while a child that shares our
//! memory becomes a program that gains privilege, and while the kernel writes a core.

use crate::process::engine::Engine;
use crate::process::life::is_outside;
use crate::process::proc;
use crate::process::slot::SlotState;
use crate::process::{attach, privilege};
use crate::sys::{self, StopSignal};

/// Signals whose default action writes a core (signal(7)).
const WITH_CORE: [i32; 10] = [
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGSYS,
];

/// System calls of a child that are looked at before it is taken to want no other program.
pub(crate) const MOST_CALLS: u16 = 4096;

impl Engine {
    /// Continues a thread. One that is gone meanwhile needs nothing.
    pub(crate) fn go_on(&mut self, tid: i32, signal: StopSignal) {
        if let StopSignal::Deliver(signal) = signal
            && WITH_CORE.contains(&signal)
            && is_deadly(tid, signal)
        {
            // What was written to is in the core, and not what the file has.
            self.stand_aside_for(tid);
        }
        let watches_calls = self
            .threads
            .get(&tid)
            .is_some_and(|thread| thread.calls_to_watch > 0);
        let _ = match watches_calls {
            true => sys::continue_to_call(tid, signal),
            false => sys::continue_with(tid, signal),
        };
    }

    /// A child that shares our memory is about to enter a system call, or comes back from it.
    pub(crate) fn on_call(&mut self, tid: i32) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.calls_to_watch = thread.calls_to_watch.saturating_sub(1);
        }
        let Some(call) = sys::entered_call(tid) else {
            return self.go_on(tid, StopSignal::None);
        };
        if !privilege::is_gained_by(tid, &call) {
            return self.go_on(tid, StopSignal::None);
        }
        // A traced program would not get it. Should the call fail, the child goes on in our text.
        self.stand_aside_for(tid);
        self.threads.remove(&tid);
        let _ = sys::detach(tid);
    }

    /// Whether a thread that is not of the target is to be let go where it gains a privilege that
    /// our tracing would cost it.
    pub(crate) fn calls_to_watch(&self, tid: i32) -> u16 {
        match !self.may_trace_all && is_outside(self.pid, tid) {
            true => MOST_CALLS,
            false => 0,
        }
    }

    fn stand_aside_for(&mut self, tid: i32) {
        self.restore_all();
        self.aside_for.push(tid);
    }

    /// Plants again what is active, once nobody has to be stood aside for.
    pub(crate) fn come_back(&mut self) {
        if self.aside_for.is_empty() {
            return;
        }
        let living = attach::a_thread(self.pid, &self.threads);
        self.aside_for
            .retain(|&tid| proc::share_memory(living, tid));
        if !self.aside_for.is_empty() {
            return;
        }
        let slots = self.desk.slots.iter();
        let active: Vec<_> = slots
            .filter(|(_, entry)| entry.state == SlotState::Active)
            .map(|(&slot, _)| slot)
            .collect();
        for slot in active {
            self.plant_all_of(slot);
        }
    }
}

/// Whether a signal that is about to be delivered ends the process.
fn is_deadly(tid: i32, signal: i32) -> bool {
    let Some(status) = proc::status(tid) else {
        return false;
    };
    let bit = 1 << (signal - 1);
    let is_default = (status.caught | status.ignored) & bit == 0;
    // The first process of a container dies only of what the kernel itself forces on it.
    is_default && (!status.is_first || sys::is_from_kernel(tid).unwrap_or(false))
}
