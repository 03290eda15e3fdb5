//! What a slot that counts has counted, as the agent gets it.

use crate::command::Reader;
use crate::histogram::{BUCKETS, Bucket, bounds};
use crate::shared::SlotCounters;

/// What a slot has counted since it was asked last.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Groups {
    /// Of the same moment. What these say was kept is the sum over all groups so far.
    pub counters: SlotCounters,
    /// Those that were hit. Each is a group for as long as the slot is armed.
    pub groups: Vec<Group>,
}

/// The hits that have one value of what they are grouped by.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// Without it: hits that came when there were as many groups as there may be.
    pub key: Option<GroupKey>,
    /// Hits with a number, or of a slot that keeps none.
    pub count: u64,
    /// Hits whose number could not be had.
    pub without_value: u64,
    /// Hits whose number is infinite or none (NaN).
    pub not_finite: u64,
    /// Of slots that keep a number, where there was one.
    pub numbers: Option<Numbers>,
}

/// What tells groups apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GroupKey {
    /// Of [`crate::SiteProgram::layout`].
    pub layout: u16,
    /// The field that the program kept; empty where hits are not grouped.
    pub field: Vec<u8>,
}

/// Of finite numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Numbers {
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    /// Ascending, without those that are empty.
    pub histogram: Vec<Bucket>,
}

impl Groups {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for word in self.counters.words() {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for group in &self.groups {
            group.encode(out);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Groups> {
        let mut words = [0; SlotCounters::WORDS];
        for word in &mut words {
            *word = reader.u64()?;
        }
        let mut groups = Vec::new();
        while !reader.bytes.is_empty() {
            groups.push(Group::decode(reader)?);
        }
        Some(Groups {
            counters: SlotCounters::from_words(words),
            groups,
        })
    }
}

impl Group {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.key.is_some()));
        if let Some(key) = &self.key {
            out.extend_from_slice(&key.layout.to_le_bytes());
            let length = u16::try_from(key.field.len()).expect("keys are short");
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&key.field);
        }
        for count in [self.count, self.without_value, self.not_finite] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.push(u8::from(self.numbers.is_some()));
        if let Some(numbers) = &self.numbers {
            for number in [numbers.sum, numbers.min, numbers.max] {
                out.extend_from_slice(&number.to_bits().to_le_bytes());
            }
            let length = u16::try_from(numbers.histogram.len()).expect("there are few buckets");
            out.extend_from_slice(&length.to_le_bytes());
            for bucket in &numbers.histogram {
                for word in [bucket.lo.to_bits(), bucket.hi.to_bits(), bucket.count] {
                    out.extend_from_slice(&word.to_le_bytes());
                }
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Group> {
        let key = match reader.u8()? {
            0 => None,
            _ => {
                let layout = reader.u16()?;
                let length = usize::from(reader.u16()?);
                let field = reader.take(length)?.to_vec();
                Some(GroupKey { layout, field })
            }
        };
        let (count, without_value, not_finite) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let numbers = match reader.u8()? {
            0 => None,
            _ => Some(Numbers::decode(reader)?),
        };
        Some(Group {
            key,
            count,
            without_value,
            not_finite,
            numbers,
        })
    }
}

impl Numbers {
    fn decode(reader: &mut Reader<'_>) -> Option<Numbers> {
        let mut number = || Some(f64::from_bits(reader.u64()?));
        let (sum, min, max) = (number()?, number()?, number()?);
        let mut histogram = Vec::new();
        for _ in 0..reader.u16()? {
            let (lo, hi) = (reader.u64()?, reader.u64()?);
            histogram.push(Bucket {
                lo: f64::from_bits(lo),
                hi: f64::from_bits(hi),
                count: reader.u64()?,
            });
        }
        Some(Numbers {
            sum,
            min,
            max,
            histogram,
        })
    }
}

/// The buckets that are not empty.
pub(crate) fn told(counts: &[u32]) -> Vec<Bucket> {
    debug_assert_eq!(counts.len(), BUCKETS);
    let counted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    counted
        .map(|(bucket, &count)| {
            let (lo, hi) = bounds(bucket);
            let count = u64::from(count);
            Bucket { lo, hi, count }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_survive_the_socket() {
        let numbers = Numbers {
            sum: 3.5,
            min: -1.0,
            max: 4.5,
            histogram: vec![Bucket {
                lo: 1.0,
                hi: 1.125,
                count: 7,
            }],
        };
        let group = |key, numbers| Group {
            key,
            count: 1,
            without_value: 2,
            not_finite: 3,
            numbers,
        };
        let key = GroupKey {
            layout: 5,
            field: b"abc".to_vec(),
        };
        let groups = Groups {
            counters: SlotCounters {
                hits: 9,
                observed_ns: 11,
                ..SlotCounters::default()
            },
            groups: vec![group(Some(key), Some(numbers)), group(None, None)],
        };
        let mut bytes = Vec::new();
        groups.encode(&mut bytes);
        let decode = |bytes| Groups::decode(&mut Reader { bytes });
        assert_eq!(decode(&bytes), Some(groups));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }
}
