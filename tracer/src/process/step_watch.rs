use std::sync::atomic::{AtomicU64, Ordering};

use crate::process::monotonic_ns;

/// A step takes microseconds, unless the instruction waits for a page.
const LONG_NS: u64 = 10_000_000;

/// Lets the control thread see that the tracer thread has been waiting for one step for long.
#[derive(Debug, Default)]
pub(crate) struct StepWatch {
    /// On the monotonic clock; 0 if none is waited for.
    began: AtomicU64,
}

impl StepWatch {
    pub(crate) fn begins(&self) {
        self.began.store(monotonic_ns(), Ordering::Relaxed);
    }

    pub(crate) fn ends(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    pub(crate) fn lasts(&self) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        began != 0 && monotonic_ns().saturating_sub(began) > LONG_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_lasts_while_it_is_waited_for() {
        let watch = StepWatch::default();
        assert!(!watch.lasts());
        watch.began.store(1, Ordering::Relaxed);
        assert!(watch.lasts());
        watch.ends();
        assert!(!watch.lasts());
    }
}
