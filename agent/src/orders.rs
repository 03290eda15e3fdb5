//! What the thread with the tracer is to do next. Only the newest wish of each sort counts, so
//! that there is nothing to queue.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lr_protocol::{EndReason, WantedActions};

#[derive(Debug, Default)]
pub(crate) struct Orders {
    next: Mutex<Next>,
    given: Condvar,
}

/// All that was ordered since the last time.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Next {
    /// The whole set, and when it was received: its expiry counts from there.
    pub(crate) wanted: Option<(WantedActions, Instant)>,
    /// Tell the state of every action, for a server that may not know it.
    pub(crate) report_all: bool,
    pub(crate) finish: Option<Finish>,
}

/// Put everything back, let go and end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finish {
    pub(crate) reason: EndReason,
    /// One line for people.
    pub(crate) message: String,
}

impl Orders {
    pub(crate) fn want(&self, wanted: WantedActions, received: Instant) {
        self.lock().wanted = Some((wanted, received));
        self.given.notify_one();
    }

    pub(crate) fn report_all(&self) {
        self.lock().report_all = true;
        self.given.notify_one();
    }

    /// The first reason stays.
    pub(crate) fn finish(&self, reason: EndReason, message: impl Into<String>) {
        let message = message.into();
        self.lock().finish.get_or_insert(Finish { reason, message });
        self.given.notify_one();
    }

    /// Whether there is something to take.
    pub(crate) fn are_there(&self) -> bool {
        *self.lock() != Next::default()
    }

    pub(crate) fn take(&self) -> Next {
        std::mem::take(&mut *self.lock())
    }

    /// Returns when there is something to take, or the time is over.
    pub(crate) fn wait(&self, timeout: Duration) {
        let guard = self.lock();
        let nothing = |next: &mut Next| *next == Next::default();
        drop(self.given.wait_timeout_while(guard, timeout, nothing));
    }

    fn lock(&self) -> MutexGuard<'_, Next> {
        // Each change is one assignment: a thread that panicked left it whole.
        self.next
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_set_and_the_first_reason_count() {
        let orders = Orders::default();
        let now = Instant::now();
        for revision in 1..=2 {
            let wanted = WantedActions {
                revision,
                ..WantedActions::default()
            };
            orders.want(wanted, now);
        }
        orders.finish(EndReason::Detached, "asked to");
        orders.finish(EndReason::Failed, "too late");
        orders.wait(Duration::from_secs(60));
        let next = orders.take();
        assert_eq!(next.wanted.unwrap().0.revision, 2);
        assert_eq!(next.finish.unwrap().message, "asked to");
        assert_eq!(orders.take(), Next::default());
    }
}
