//! How much stopping an action may cause: a bucket that fills with wall time and is emptied by
//! stops, checked at each hit (design, section 4).

use std::time::Duration;

/// What the bucket holds at most: ten milliseconds of stops at once.
const BUCKET_NS: u64 = 10_000_000;

/// Share of wall time that one action may stop threads for, in thousandths.
pub(crate) const ACTION_THOUSANDTHS: u64 = 10;
/// The same as a number.
pub const ACTION_SHARE: f64 = 0.01;
/// The same for all actions on a process.
pub(crate) const PROCESS_SHARE: u64 = 50;

/// How long an action that has used up its share is not planted: until its bucket is half full.
pub const PAUSE: Duration = Duration::from_nanos(BUCKET_NS / 2 * 1000 / ACTION_THOUSANDTHS);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bucket {
    share: u64,
    left_ns: u64,
    filled_at: u64,
}

impl Bucket {
    /// A full bucket that fills at `share` thousandths of the time that passes.
    pub(crate) fn new(share: u64, now_ns: u64) -> Bucket {
        Bucket {
            share,
            left_ns: BUCKET_NS,
            filled_at: now_ns,
        }
    }

    /// Takes the cost of one stop; false if that was more than was left.
    pub(crate) fn take(&mut self, cost_ns: u64, now_ns: u64) -> bool {
        self.fill(now_ns);
        match self.left_ns.checked_sub(cost_ns) {
            Some(left) => {
                self.left_ns = left;
                true
            }
            None => {
                self.left_ns = 0;
                false
            }
        }
    }

    /// What is left of it.
    pub(crate) fn left_ns(&self, now_ns: u64) -> u64 {
        let mut then = *self;
        then.fill(now_ns);
        then.left_ns
    }

    /// Whether it is half full again.
    pub(crate) fn has_recovered(&mut self, now_ns: u64) -> bool {
        self.fill(now_ns);
        self.left_ns >= BUCKET_NS / 2
    }

    fn fill(&mut self, now_ns: u64) {
        let passed = now_ns.saturating_sub(self.filled_at);
        self.filled_at = now_ns;
        let gained = passed.saturating_mul(self.share) / 1000;
        self.left_ns = self.left_ns.saturating_add(gained).min(BUCKET_NS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_of_the_time_can_be_spent() {
        let mut bucket = Bucket::new(ACTION_THOUSANDTHS, 0);
        let mut now = 0;
        let mut spent = 0u64;
        // A hit of 50 µs every 100 µs asks for half of the time.
        while bucket.take(50_000, now) {
            spent += 50_000;
            now += 100_000;
        }
        assert!(
            (BUCKET_NS..BUCKET_NS + BUCKET_NS / 10).contains(&spent),
            "{spent}"
        );
        let pause = u64::try_from(PAUSE.as_nanos()).unwrap();
        assert!(!bucket.has_recovered(now + pause - 1_000_000));
        assert!(bucket.has_recovered(now + pause));
    }
}
