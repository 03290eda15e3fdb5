//! The memory that the tracer process and the agent share: counters of each slot, then the ring.

use std::sync::atomic::{AtomicU64, Ordering};

use lr_probe::Reason;

use crate::command::Slot;
use crate::sys::SharedMemory;

/// Slots that can be armed at the same time.
pub(crate) const SLOTS: u16 = 1024;
/// Words of the ring, a power of two: 4 MiB.
pub(crate) const RING_WORDS: usize = 1 << 19;

const HEADER_WORDS: usize = 16;
const SLOT_WORDS: usize = 16;
const SLOTS_AT: usize = HEADER_WORDS;
const RING_AT: usize = SLOTS_AT + SLOTS as usize * SLOT_WORDS;

/// Bytes of the whole.
pub(crate) const SHARED_BYTES: usize = (RING_AT + RING_WORDS) * 8;

/// Words of the header.
pub(crate) const HEAD: usize = 0;
pub(crate) const TAIL: usize = 1;
pub(crate) const WAITING: usize = 2;

/// A counter of a slot, by its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Counter {
    Hits,
    ConditionFalse,
    ConditionError,
    RateLimited,
    /// Times that the stop-time budget was used up.
    Pauses,
    Dropped,
    Kept,
    StopNs,
    MaxStopNs,
    /// Monotonic nanoseconds during which the slot was planted, up to the last change.
    ObservedNs,
    /// Since when it is planted, on the monotonic clock; 0 if it is not.
    PlantedSince,
    /// The number of the reason for which the condition had no value last; 0 where it always had.
    ConditionReason,
    /// Passes of a costly action's line that were only counted.
    OverBudget,
    /// How often that line was passed in a second; 0 where that is not known.
    PassesPerSecond,
}

/// What became of the hits of a slot, and what they cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotCounters {
    pub hits: u64,
    pub condition_false: u64,
    pub condition_error: u64,
    /// Why the condition had no value when it had none last.
    pub condition_reason: Option<Reason>,
    pub rate_limited: u64,
    /// Hits of which only the number is known: of the line of a costly action, before it was let
    /// loose on it.
    pub over_budget: u64,
    /// How often the line of a costly action was passed in a second, while each pass stopped its
    /// thread; 0 where that is not known. One that is busier is passed more often still.
    pub passes_per_second: u64,
    /// Times that the stop-time budget was used up and the sites were unplanted for a while; how
    /// many hits went unseen meanwhile is not known, only for how long.
    pub pauses: u64,
    /// Hits that found the ring full.
    pub dropped: u64,
    /// Hits that became records, or were counted.
    pub kept: u64,
    /// Estimated time that threads were stopped, in nanoseconds.
    pub stop_ns: u64,
    /// Of those since the longest was taken.
    pub max_stop_ns: u64,
    /// Nanoseconds during which the slot was planted.
    pub observed_ns: u64,
}

impl SlotCounters {
    pub(crate) const WORDS: usize = 13;

    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        [
            self.hits,
            self.condition_false,
            self.condition_error,
            self.condition_reason.map_or(0, |reason| reason as u64),
            self.rate_limited,
            self.over_budget,
            self.passes_per_second,
            self.pauses,
            self.dropped,
            self.kept,
            self.stop_ns,
            self.max_stop_ns,
            self.observed_ns,
        ]
    }

    pub(crate) fn from_words(words: [u64; Self::WORDS]) -> SlotCounters {
        let [
            hits,
            condition_false,
            condition_error,
            condition_reason,
            rate_limited,
            over_budget,
            passes_per_second,
            pauses,
            dropped,
            kept,
            stop_ns,
            max_stop_ns,
            observed_ns,
        ] = words;
        SlotCounters {
            hits,
            condition_false,
            condition_error,
            condition_reason: reason_of(condition_reason),
            rate_limited,
            over_budget,
            passes_per_second,
            pauses,
            dropped,
            kept,
            stop_ns,
            max_stop_ns,
            observed_ns,
        }
    }
}

fn reason_of(word: u64) -> Option<Reason> {
    u8::try_from(word).ok().and_then(Reason::from_u8)
}

/// The shared memory, seen from either side.
#[derive(Debug)]
pub(crate) struct Shared {
    memory: SharedMemory,
    journal: SharedMemory,
}

impl Shared {
    pub(crate) fn new(memory: SharedMemory, journal: SharedMemory) -> Shared {
        Shared { memory, journal }
    }

    /// See [`crate::journal`].
    pub(crate) fn journal(&self) -> &[AtomicU64] {
        self.journal.words()
    }

    pub(crate) fn header(&self, word: usize) -> &AtomicU64 {
        &self.memory.words()[word]
    }

    pub(crate) fn ring(&self) -> &[AtomicU64] {
        &self.memory.words()[RING_AT..RING_AT + RING_WORDS]
    }

    pub(crate) fn counter(&self, slot: Slot, counter: Counter) -> &AtomicU64 {
        assert!(slot.0 < SLOTS, "slot {} of {SLOTS}", slot.0);
        &self.memory.words()[SLOTS_AT + usize::from(slot.0) * SLOT_WORDS + counter as usize]
    }

    /// The tracer raises it by one atomic operation, so that nothing is lost in between.
    pub(crate) fn take_longest_stop(&self, slot: Slot) -> u64 {
        self.counter(slot, Counter::MaxStopNs)
            .swap(0, Ordering::Relaxed)
    }

    /// Adds to a counter. Only the tracer writes counters, so no atomic addition is needed.
    pub(crate) fn add(&self, slot: Slot, counter: Counter, count: u64) {
        let word = self.counter(slot, counter);
        word.store(
            word.load(Ordering::Relaxed).wrapping_add(count),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn clear(&self, slot: Slot) {
        let start = SLOTS_AT + usize::from(slot.0) * SLOT_WORDS;
        for word in &self.memory.words()[start..start + SLOT_WORDS] {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// The counters of a slot at monotonic time `now_ns`.
    pub(crate) fn counters(&self, slot: Slot, now_ns: u64) -> SlotCounters {
        let get = |counter| self.counter(slot, counter).load(Ordering::Relaxed);
        let since = get(Counter::PlantedSince);
        let running = if since == 0 {
            0
        } else {
            now_ns.saturating_sub(since)
        };
        SlotCounters {
            hits: get(Counter::Hits),
            condition_false: get(Counter::ConditionFalse),
            condition_error: get(Counter::ConditionError),
            condition_reason: reason_of(get(Counter::ConditionReason)),
            rate_limited: get(Counter::RateLimited),
            over_budget: get(Counter::OverBudget),
            passes_per_second: get(Counter::PassesPerSecond),
            pauses: get(Counter::Pauses),
            dropped: get(Counter::Dropped),
            kept: get(Counter::Kept),
            stop_ns: get(Counter::StopNs),
            max_stop_ns: get(Counter::MaxStopNs),
            observed_ns: get(Counter::ObservedNs) + running,
        }
    }
}

/// For tests.
#[cfg(test)]
pub(crate) fn in_memory() -> std::sync::Arc<Shared> {
    let memory = SharedMemory::create(SHARED_BYTES).unwrap();
    let journal = SharedMemory::create(crate::journal::JOURNAL_BYTES).unwrap();
    std::sync::Arc::new(Shared::new(memory, journal))
}
