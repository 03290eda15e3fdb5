//! Waiting for what the tracees do, and going on from it.

use crate::process::engine::Engine;
use crate::process::monotonic_ns;
use crate::process::stop::Stop;
use crate::record::Ended;
use crate::sys::{self, StopSignal, WaitEvent, WaitTarget};

/// Stops served before every thread is asked in turn: waitid gives the first of a list, and busy
/// threads at its head would starve the others.
const STOPS_PER_ROUND: u32 = 256;

/// Turns in which the thread that was served last is asked first, between two in which all are:
/// where one thread hits all the time, the walk over the others is spared it.
const TURNS_OF_ONE: u32 = 16;

/// Where the tracer thread is in its waiting.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    stops: u32,
    /// The thread whose stop was dealt with last.
    served_last: Option<i32>,
    /// Whether the last stop had to be waited for, as far as we know.
    pub(crate) slept: bool,
    /// When a thread was continued last from a site, on the monotonic clock.
    let_go_at: u64,
}

impl Engine {
    /// Waits for one stop or one wake-up and deals with it.
    pub(crate) fn turn(&mut self) {
        match self.next_event() {
            Ok(WaitEvent::Interrupted | WaitEvent::Nothing) => {}
            Ok(WaitEvent::NoTracees) | Err(_) => self.ended = self.ended.or(Some(Ended::Gone)),
            Ok(event) => self.on_event(event),
        }
        self.turns.stops += 1;
        if self.turns.stops >= STOPS_PER_ROUND {
            self.turns.stops = 0;
            self.serve_all();
        }
    }

    /// A wait for any tracee walks over all of them, twice where it has to sleep.
    fn next_event(&mut self) -> std::io::Result<WaitEvent> {
        let first = match self.turns.served_last {
            Some(last) if !self.turns.stops.is_multiple_of(TURNS_OF_ONE) => {
                WaitTarget::Thread(last)
            }
            _ => WaitTarget::Any,
        };
        let ready = sys::wait_stop(first, false);
        self.turns.slept = !matches!(ready, Ok(WaitEvent::Stopped { .. }));
        let event = match self.turns.slept {
            true => sys::wait_stop(WaitTarget::Any, true),
            false => ready,
        };
        self.turns.served_last = match event {
            Ok(WaitEvent::Stopped { tid, .. }) => Some(tid),
            _ => None,
        };
        event
    }

    /// Deals with what has already happened. Not with all of it where it comes as fast as it is
    /// dealt with.
    pub(crate) fn drain(&mut self) {
        for _ in 0..STOPS_PER_ROUND {
            match sys::wait_stop(WaitTarget::Any, false) {
                Ok(WaitEvent::Nothing | WaitEvent::NoTracees) | Err(_) => return,
                Ok(event) => self.on_event(event),
            }
        }
        self.serve_all();
    }

    fn serve_all(&mut self) {
        let tids: Vec<i32> = self.threads.keys().copied().collect();
        for tid in tids {
            self.serve(tid);
        }
    }

    /// Deals with what one tracee does at the moment.
    pub(crate) fn serve(&mut self, tid: i32) {
        if let Ok(event) = sys::wait_stop(WaitTarget::Thread(tid), false) {
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: WaitEvent) {
        match event {
            WaitEvent::Stopped { tid, status } => self.on_stop(tid, Stop::decode(status)),
            WaitEvent::Exited { tid, status } => self.on_death(tid, Ended::Exited { status }),
            WaitEvent::Killed { tid, signal } => self.on_death(tid, Ended::Killed { signal }),
            WaitEvent::Nothing | WaitEvent::Interrupted | WaitEvent::NoTracees => {}
        }
    }

    fn on_stop(&mut self, tid: i32, stop: Stop) {
        // Of a thread that took its leader's number the kernel wants this before anything else
        // (since Linux 5.13), and it can go on by itself.
        if stop == Stop::Exec {
            sys::collect_stop(tid);
        }
        if !self.threads.contains_key(&tid) && !self.adopt(tid) {
            return;
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.listening = false;
        }
        if self.goes_on_stepping(tid, stop) {
            return;
        }
        match stop {
            Stop::Trap => self.on_trap(tid),
            Stop::Signal(signal) => self.go_on(tid, StopSignal::Deliver(signal)),
            Stop::Group(_) => self.leave_in_group_stop(tid),
            Stop::Event | Stop::Birth => self.go_on(tid, StopSignal::None),
            Stop::Exec => self.on_exec(tid),
            Stop::Call => self.on_call(tid),
        }
    }

    pub(crate) fn leave_in_group_stop(&mut self, tid: i32) {
        if sys::listen(tid).is_ok()
            && let Some(thread) = self.threads.get_mut(&tid)
        {
            thread.listening = true;
        }
    }

    /// Continues a thread from a site, and notes when: it may run on this CPU before we do again.
    pub(crate) fn let_go_on(&mut self, tid: i32, signal: StopSignal) {
        self.turns.let_go_at = monotonic_ns();
        self.go_on(tid, signal);
    }

    /// When the thread that was dealt with last, and that we saw at `began`, went on.
    pub(crate) fn went_on_at(&self, began: u64) -> u64 {
        match self.turns.let_go_at >= began {
            true => self.turns.let_go_at,
            // It is gone, or left where it is.
            false => monotonic_ns(),
        }
    }
}
