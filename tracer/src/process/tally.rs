//! Hits that are counted where they happen: by group, and with the statistics of a number. All
//! memory is taken when the action is armed; a hit takes none.

use std::hash::Hasher;

use lr_probe::{Fields, Kept, fault_field};

use crate::command::Aggregate;
use crate::groups::{Group, GroupKey, Numbers, told};
use crate::histogram::{BUCKETS, bucket_of};

/// The most groups that a slot may ask for.
pub(crate) const MOST_GROUPS: u16 = 1000;
/// A longer text does not become a group.
const MAX_KEY: usize = 1024;
/// Bytes of keys, for each group that there may be.
const KEY_SHARE: usize = 512;

/// What a slot has counted.
#[derive(Debug)]
pub(crate) struct Tally {
    wanted: Aggregate,
    /// Groups that there may be.
    most: usize,
    groups: Vec<Entry>,
    /// Those that came too late to be groups.
    others: Counts,
    /// Bytes of the groups' keys, one behind the other.
    keys: Vec<u8>,
    /// Numbers of groups by the hash of their keys; a power of two, and never full.
    index: Box<[u16]>,
    /// Of each group, then of the others. Empty where no number is kept.
    buckets: Box<[u32]>,
}

#[derive(Debug)]
struct Entry {
    layout: u16,
    /// In `keys`.
    start: u32,
    length: u16,
    hash: u64,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    count: u64,
    without_value: u64,
    not_finite: u64,
    sum: f64,
    /// What the sum has lost by rounding (Neumaier's summation): sums of whole numbers are exact
    /// up to 2^53, others but for the last bit.
    lost: f64,
    min: f64,
    max: f64,
}

const NOTHING: Counts = Counts {
    count: 0,
    without_value: 0,
    not_finite: 0,
    sum: 0.0,
    lost: 0.0,
    min: f64::INFINITY,
    max: f64::NEG_INFINITY,
};

/// No group.
const FREE: u16 = u16::MAX;

impl Tally {
    pub(crate) fn new(wanted: Aggregate) -> Tally {
        let most = usize::from(wanted.groups.clamp(1, MOST_GROUPS));
        let histograms = if wanted.number { most + 1 } else { 0 };
        Tally {
            groups: Vec::with_capacity(most),
            others: NOTHING,
            keys: Vec::with_capacity(if wanted.grouped { most * KEY_SHARE } else { 0 }),
            index: vec![FREE; (most * 2).next_power_of_two()].into_boxed_slice(),
            // Zeroed memory of which no page is there before it is used.
            buckets: vec![0; histograms * BUCKETS].into_boxed_slice(),
            most,
            wanted,
        }
    }

    /// Counts a hit. `kept` is what the program kept: the group's field where there is one, then
    /// the number's.
    pub(crate) fn count(&mut self, layout: u16, kept: &[u8]) {
        let mut fields = Fields::new(kept);
        let mut fault = None;
        let mut key: &[u8] = &[];
        if self.wanted.grouped {
            fields.next(|part| {
                if let Kept::Fault { reason, .. } = part {
                    fault = Some(fault_field(reason));
                }
            });
            key = &kept[..kept.len() - fields.rest().len()];
        }
        // What could not be read is one group, wherever it would have been.
        if let Some(fault) = &fault {
            key = fault;
        }
        let number = match self.wanted.number {
            false => Number::NotAsked,
            true => number_of(&mut fields),
        };
        let group = self.group(layout, key);
        let (counts, histogram) = match group {
            Some(index) => (&mut self.groups[index].counts, index),
            None => (&mut self.others, self.most),
        };
        match number {
            Number::NotAsked => counts.count += 1,
            Number::Absent => counts.without_value += 1,
            Number::NotFinite => counts.not_finite += 1,
            Number::Is(value) => {
                counts.add(value);
                // A second has fewer hits; where nobody asks, the largest count stays.
                let start = histogram * BUCKETS;
                if let Some(count) = self.buckets.get_mut(start + bucket_of(value)) {
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// The group with that key, which may be new. `None` where there is no room for it.
    fn group(&mut self, layout: u16, key: &[u8]) -> Option<usize> {
        let hash = hash_of(layout, key);
        let mask = self.index.len() - 1;
        let mut at = usize::try_from(hash & mask as u64).unwrap_or(0);
        loop {
            let number = self.index[at];
            if number == FREE {
                break;
            }
            let entry = &self.groups[usize::from(number)];
            if entry.hash == hash && entry.layout == layout && self.key_of(entry) == key {
                return Some(usize::from(number));
            }
            at = (at + 1) & mask;
        }
        let has_room =
            self.groups.len() < self.most && self.keys.len() + key.len() <= self.keys.capacity();
        if !has_room || key.len() > MAX_KEY {
            return None;
        }
        let number = self.groups.len();
        self.index[at] = u16::try_from(number).ok()?;
        self.groups.push(Entry {
            layout,
            start: u32::try_from(self.keys.len()).ok()?,
            length: u16::try_from(key.len()).ok()?,
            hash,
            counts: NOTHING,
        });
        self.keys.extend_from_slice(key);
        Some(number)
    }

    fn key_of(&self, entry: &Entry) -> &[u8] {
        let start = usize::try_from(entry.start).unwrap_or(usize::MAX);
        &self.keys[start..start + usize::from(entry.length)]
    }

    /// What was counted since this was asked last.
    pub(crate) fn take(&mut self) -> Vec<Group> {
        let mut taken = Vec::new();
        for index in 0..self.groups.len() {
            let counts = std::mem::replace(&mut self.groups[index].counts, NOTHING);
            if counts.is_nothing() {
                continue;
            }
            let entry = &self.groups[index];
            let key = GroupKey {
                layout: entry.layout,
                field: self.key_of(entry).to_vec(),
            };
            taken.push(counts.told(Some(key), self.take_buckets(index)));
        }
        let others = std::mem::replace(&mut self.others, NOTHING);
        if !others.is_nothing() {
            taken.push(others.told(None, self.take_buckets(self.most)));
        }
        taken
    }

    fn take_buckets(&mut self, index: usize) -> Option<Vec<crate::histogram::Bucket>> {
        let counts = self
            .buckets
            .get_mut(index * BUCKETS..(index + 1) * BUCKETS)?;
        let buckets = told(counts);
        counts.fill(0);
        Some(buckets)
    }
}

impl Counts {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let sum = self.sum + value;
        self.lost += match self.sum.abs() >= value.abs() {
            true => (self.sum - sum) + value,
            false => (value - sum) + self.sum,
        };
        self.sum = sum;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn is_nothing(&self) -> bool {
        self.count == 0 && self.without_value == 0 && self.not_finite == 0
    }

    fn told(self, key: Option<GroupKey>, buckets: Option<Vec<crate::histogram::Bucket>>) -> Group {
        let buckets = buckets.filter(|_| self.count > 0);
        let whole = self.sum + self.lost;
        let numbers = buckets.map(|histogram| Numbers {
            // Beyond the largest doubles the correction is no number.
            sum: if whole.is_nan() { self.sum } else { whole },
            min: self.min,
            max: self.max,
            histogram,
        });
        Group {
            key,
            count: self.count,
            without_value: self.without_value,
            not_finite: self.not_finite,
            numbers,
        }
    }
}

enum Number {
    NotAsked,
    Is(f64),
    NotFinite,
    Absent,
}

/// The field with the number is one word, the bits of a double.
fn number_of(fields: &mut Fields<'_>) -> Number {
    let mut number = Number::Absent;
    fields.next(|part| {
        if let Kept::Word(word) = part {
            let value = f64::from_bits(word);
            number = match value.is_finite() {
                true => Number::Is(value),
                false => Number::NotFinite,
            };
        }
    });
    number
}

fn hash_of(layout: u16, key: &[u8]) -> u64 {
    // A target that chose its keys badly would have each hit compare with a thousand at most.
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    hasher.write_u16(layout);
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lr_probe::Reason;

    fn word(value: u64) -> Vec<u8> {
        let mut field = vec![1];
        field.extend_from_slice(&value.to_le_bytes());
        field.push(0);
        field
    }

    fn number(value: f64) -> Vec<u8> {
        word(value.to_bits())
    }

    fn tally(groups: u16, grouped: bool, number: bool) -> Tally {
        Tally::new(Aggregate {
            groups,
            grouped,
            number,
        })
    }

    #[test]
    fn hits_are_counted_and_counted_anew_when_they_were_taken() {
        let mut tally = tally(100, false, false);
        for _ in 0..5 {
            tally.count(0, &[]);
        }
        let taken = tally.take();
        assert_eq!((taken.len(), taken[0].count), (1, 5));
        assert_eq!(taken[0].numbers, None);
        assert_eq!(taken[0].key.as_ref().unwrap().field, []);
        assert!(tally.take().is_empty());
        tally.count(0, &[]);
        assert_eq!(tally.take()[0].count, 1);
    }

    #[test]
    fn groups_are_bounded_and_the_rest_is_counted_together() {
        let mut tally = tally(3, true, false);
        for value in 0..10 {
            for _ in 0..=value {
                tally.count(0, &word(value));
            }
        }
        let counts = |taken: &[Group]| -> Vec<(bool, u64)> {
            let told = taken.iter().map(|group| (group.key.is_some(), group.count));
            told.collect()
        };
        let taken = tally.take();
        assert_eq!(
            counts(&taken),
            [(true, 1), (true, 2), (true, 3), (false, 49)]
        );
        // What is a group stays one.
        tally.count(0, &word(9));
        tally.count(0, &word(1));
        assert_eq!(counts(&tally.take()), [(true, 1), (false, 1)]);
    }

    #[test]
    fn what_is_kept_otherwise_is_another_group() {
        let mut tally = tally(10, true, false);
        tally.count(0, &word(1));
        tally.count(1, &word(1));
        assert_eq!(tally.take().len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_one_group_wherever_it_is() {
        let mut tally = tally(10, true, false);
        for address in 0..5u8 {
            let mut field = fault_field(Reason::Unreadable);
            field[2] = address;
            tally.count(0, &field);
        }
        let taken = tally.take();
        assert_eq!((taken.len(), taken[0].count), (1, 5));
    }

    #[test]
    fn long_keys_and_many_bytes_of_them_are_others() {
        let mut tally = tally(4, true, false);
        let text = |byte: u8, length: u16| {
            let mut field = vec![3, 1];
            field.extend_from_slice(&length.to_le_bytes());
            field.extend(vec![byte; usize::from(length)]);
            field.push(0);
            field
        };
        tally.count(0, &text(b'a', 2000));
        for byte in b"bcdefg" {
            tally.count(0, &text(*byte, 900));
        }
        let taken = tally.take();
        assert_eq!(taken.iter().map(|group| group.count).sum::<u64>(), 7);
        assert_eq!(taken.iter().filter(|group| group.key.is_some()).count(), 2);
    }

    #[test]
    fn numbers_have_statistics_and_what_is_none_is_counted() {
        let mut tally = tally(10, false, true);
        for value in [1.0, -2.0, 4.0, 0.0] {
            tally.count(0, &number(value));
        }
        tally.count(0, &number(f64::NAN));
        tally.count(0, &number(f64::INFINITY));
        tally.count(0, &fault_field(Reason::Null));
        let taken = tally.take();
        let group = &taken[0];
        assert_eq!(
            (group.count, group.without_value, group.not_finite),
            (4, 1, 2)
        );
        let numbers = group.numbers.as_ref().unwrap();
        assert_eq!((numbers.sum, numbers.min, numbers.max), (3.0, -2.0, 4.0));
        let lows: Vec<f64> = numbers.histogram.iter().map(|bucket| bucket.lo).collect();
        assert_eq!(lows, [-2.0, 0.0, 1.0, 4.0]);
        assert!(numbers.histogram.iter().all(|bucket| bucket.count == 1));
        tally.count(0, &number(1.0));
        assert_eq!(tally.take()[0].numbers.as_ref().unwrap().histogram.len(), 1);
    }

    #[test]
    fn without_one_number_there_are_no_statistics() {
        let mut tally = tally(10, false, true);
        tally.count(0, &fault_field(Reason::Null));
        let taken = tally.take();
        assert_eq!((taken[0].count, taken[0].without_value), (0, 1));
        assert_eq!(taken[0].numbers, None);
    }

    #[test]
    fn sums_are_exact_for_whole_numbers_and_close_for_others() {
        let mut tally = tally(1, false, true);
        tally.count(0, &number(9_007_199_254_740_000.0));
        for _ in 0..1000 {
            tally.count(0, &number(0.1));
        }
        tally.count(0, &number(-9_007_199_254_740_000.0));
        let sum = tally.take()[0].numbers.as_ref().unwrap().sum;
        assert!((sum - 100.0).abs() < 1e-9, "{sum}");
        for _ in 0..2 {
            tally.count(0, &number(f64::MAX));
        }
        assert_eq!(tally.take()[0].numbers.as_ref().unwrap().sum, f64::INFINITY);
    }
}
