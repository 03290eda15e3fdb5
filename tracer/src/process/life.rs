//! Births, deaths and execs of tracees.

use crate::process::attach::a_thread;
use crate::process::courtesy::Portions;
use crate::process::engine::{Engine, Thread};
use crate::process::proc::{self, Mappings};
use crate::process::text::{INT3, Text};
use crate::record::Ended;
use crate::sys::{self, StopSignal};

impl Engine {
    /// A tracee that we have not met: a new thread, a child that shares our memory (vfork), or a
    /// forked copy. Returns whether it is to be traced on; a copy is cleaned and let go.
    pub(crate) fn adopt(&mut self, tid: i32) -> bool {
        let living = a_thread(self.pid, &self.threads);
        let is_thread = proc::status(tid).is_some_and(|status| status.tgid == self.pid);
        if is_thread || proc::share_memory(living, tid) {
            let mask = sys::get_signal_mask(tid).unwrap_or(0);
            let calls_to_watch = self.calls_to_watch(tid);
            let thread = Thread {
                calls_to_watch,
                ..Thread::new(mask)
            };
            self.threads.insert(tid, thread);
            return true;
        }
        // A fork has copied our bytes with the text, also those that we have taken away since.
        if let Ok(text) = Text::open(tid) {
            let map = Mappings::read(tid);
            for (address, site) in self.sites.all() {
                if site.may_be_at(address, map.as_ref()) {
                    text.restore(address, site.original);
                }
            }
        }
        // If the copy could not be cleaned it must stay with us: untraced, an int3 would kill it.
        if !self.has_our_bytes(tid) {
            let _ = sys::detach(tid);
            return false;
        }
        self.threads.insert(tid, Thread::new(0));
        true
    }

    fn has_our_bytes(&self, tid: i32) -> bool {
        let Ok(text) = Text::open(tid) else {
            return true;
        };
        let map = Mappings::read(tid);
        self.sites.all().any(|(address, site)| {
            let mut byte = [0];
            // Unmapped in the child: nothing to execute there.
            site.may_be_at(address, map.as_ref())
                && text.read(address, &mut byte).is_ok()
                && byte[0] == INT3
        })
    }

    /// Threads that died and were reaped while others were being seized.
    pub(crate) fn forget_the_dead(&mut self) {
        let mut portions = Portions::begin();
        self.threads.retain(|&tid, _| {
            portions.pause_if_due();
            proc::status(tid).is_some()
        });
    }

    pub(crate) fn on_death(&mut self, tid: i32, how: Ended) {
        sys::reap(tid);
        self.threads.remove(&tid);
        self.long_steps.remove(&tid);
        self.desk.names.forget(tid);
        self.forget_held(tid);
        // A leader is reported only when it is the last of its process.
        if tid == self.pid {
            self.ended = Some(how);
        }
    }

    /// An exec by the target ends the attachment; one by a vfork child frees the child.
    pub(crate) fn on_exec(&mut self, tid: i32) {
        if tid == self.pid {
            // The other threads are dead; the memory that we hold open is the old program's, and
            // what still shares it is restored through it.
            self.threads
                .retain(|&other, _| other == tid || is_outside(self.pid, other));
            self.long_steps
                .retain(|&other, _| is_outside(self.pid, other));
            // The number of a leader that stood still is the new program's now.
            self.held
                .retain(|held| held.tid != tid && is_outside(self.pid, held.tid));
            self.ended = Some(Ended::Execed);
            self.go_on(tid, StopSignal::None);
        } else {
            self.threads.remove(&tid);
            let _ = sys::detach(tid);
        }
    }
}

pub(crate) fn is_outside(pid: i32, tid: i32) -> bool {
    proc::status(tid).is_some_and(|status| status.tgid != pid)
}
