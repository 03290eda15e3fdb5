//! An armed action as the tracer sees it.

use std::collections::HashMap;

use crate::command::{ArmAction, Mode, Rate, Slot, nanos};
use crate::process::budget::{ACTION_THOUSANDTHS, Bucket};
use crate::process::preflight::PreFlight;
use crate::process::tally::Tally;

/// Whether a slot's sites are planted on its behalf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlotState {
    Active,
    /// Its stop-time budget is used up.
    Paused,
    /// Its limit is reached.
    Done,
    /// Its time is over.
    Expired,
}

#[derive(Debug)]
pub(crate) struct SlotEntry {
    pub(crate) state: SlotState,
    pub(crate) hits: u64,
    /// Matching hits that it may still keep.
    left: Option<u64>,
    /// When it expires, on the monotonic clock.
    deadline: Option<u64>,
    tokens: Option<Tokens>,
    pub(crate) ignore_quota: bool,
    pub(crate) yields: Yields,
    pub(crate) budget: Bucket,
    pub(crate) preflight: PreFlight,
}

/// What a hit leads to.
#[derive(Debug)]
pub(crate) enum Yields {
    Record,
    /// The thread may stand still for so many nanoseconds.
    Hold(u64),
    Count(Tally),
}

impl SlotEntry {
    pub(crate) fn new(action: &ArmAction, now_ns: u64) -> SlotEntry {
        SlotEntry {
            state: SlotState::Active,
            hits: 0,
            left: action.limit,
            deadline: action
                .expires_in
                .map(|left| now_ns.saturating_add(nanos(left))),
            tokens: action.rate.map(|rate| Tokens::new(rate, now_ns)),
            ignore_quota: action.ignore_quota,
            yields: match action.mode {
                Mode::Record => Yields::Record,
                Mode::Hold(time) => Yields::Hold(nanos(time)),
                Mode::Aggregate(wanted) => Yields::Count(Tally::new(wanted)),
            },
            budget: Bucket::new(ACTION_THOUSANDTHS, now_ns),
            preflight: PreFlight::of(action),
        }
    }

    /// When it is to be unplanted, if that lies before it.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        match self.state {
            SlotState::Active | SlotState::Paused => self.deadline,
            SlotState::Done | SlotState::Expired => None,
        }
    }

    /// How long a thread that hits it may stand still.
    pub(crate) fn hold_ns(&self) -> Option<u64> {
        match self.yields {
            Yields::Hold(nanos) => Some(nanos),
            Yields::Record | Yields::Count(_) => None,
        }
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.left == Some(0)
    }

    /// Whether the rate allows one more event now.
    pub(crate) fn take_token(&mut self, now_ns: impl FnOnce() -> u64) -> bool {
        self.tokens
            .as_mut()
            .is_none_or(|tokens| tokens.take(now_ns()))
    }

    /// Counts an event that was kept.
    pub(crate) fn kept(&mut self) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
    }
}

/// The active slot whose stops have cost most of late, among those that keep to their share.
pub(crate) fn dearest(slots: &HashMap<Slot, SlotEntry>, now_ns: u64) -> Option<Slot> {
    let active = slots
        .iter()
        .filter(|(_, entry)| entry.state == SlotState::Active && !entry.ignore_quota);
    let dearest = active.min_by_key(|(_, entry)| entry.budget.left_ns(now_ns));
    dearest.map(|(&slot, _)| slot)
}

/// A token bucket: `per_second` events, up to `burst` at once.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    rate: Rate,
    left: f64,
    filled_at: u64,
}

impl Tokens {
    fn new(rate: Rate, now_ns: u64) -> Tokens {
        Tokens {
            rate,
            left: rate.burst.max(1.0),
            filled_at: now_ns,
        }
    }

    fn take(&mut self, now_ns: u64) -> bool {
        let passed = std::time::Duration::from_nanos(now_ns.saturating_sub(self.filled_at));
        self.filled_at = now_ns;
        let gained = passed.as_secs_f64() * self.rate.per_second;
        self.left = (self.left + gained).min(self.rate.burst.max(1.0));
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearest_makes_way() {
        let spent = |cost: u64, ignore_quota: bool, state: SlotState| {
            let action = ArmAction {
                slot: Slot(0),
                sites: Vec::new(),
                limit: None,
                rate: None,
                ignore_quota,
                mode: Mode::Record,
                expires_in: None,
            };
            let mut entry = SlotEntry::new(&action, 0);
            assert!(entry.budget.take(cost, 0));
            entry.state = state;
            entry
        };
        let mut slots = HashMap::from([
            (Slot(1), spent(1_000, false, SlotState::Active)),
            (Slot(2), spent(5_000, false, SlotState::Active)),
            (Slot(3), spent(9_000, true, SlotState::Active)),
            (Slot(4), spent(9_000, false, SlotState::Paused)),
        ]);
        assert_eq!(dearest(&slots, 0), Some(Slot(2)));
        slots.remove(&Slot(2));
        slots.remove(&Slot(1));
        assert_eq!(dearest(&slots, 0), None);
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut tokens = Tokens::new(
            Rate {
                per_second: 50.0,
                burst: 100.0,
            },
            0,
        );
        let at_once = (0..1000).filter(|_| tokens.take(0)).count();
        assert_eq!(at_once, 100);
        let later = (0..1000u64)
            .filter(|ms| tokens.take(ms * 1_000_000))
            .count();
        assert!((49..=50).contains(&later), "{later}");
    }
}
