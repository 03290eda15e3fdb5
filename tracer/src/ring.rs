//! Records from the tracer to the agent: one producer, one consumer, words of 64 bits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::command::Slot;
use crate::record::{Ended, Record, StoppedRegisters};
use crate::shared::{HEAD, RING_WORDS, Shared, TAIL, WAITING};

/// The longest payload of one hit.
pub(crate) const MAX_PAYLOAD: usize = 60 << 10;

const HEADER_WORDS: usize = 4;
const MASK: usize = RING_WORDS - 1;

const HIT: u64 = 1;
const DONE: u64 = 2;
const PAUSED: u64 = 3;
const RESUMED: u64 = 4;
const EXITED: u64 = 5;
const KILLED: u64 = 6;
const EXECED: u64 = 7;
const GONE: u64 = 8;
const HELD: u64 = 9;

/// Room is kept for records that must not be lost: ends and states.
const RESERVE: usize = 64 * HEADER_WORDS;

/// The tracer's end.
#[derive(Debug)]
pub(crate) struct Producer {
    shared: Arc<Shared>,
    head: u64,
}

/// Everything of a hit but its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HitHeader {
    pub(crate) slot: Slot,
    pub(crate) site: u16,
    pub(crate) tid: u32,
    pub(crate) time_ns: u64,
    pub(crate) hits: u64,
}

/// Whether the consumer sleeps and wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pushed {
    Quietly,
    WakeConsumer,
    /// There was no room.
    Full,
}

impl Producer {
    pub(crate) fn new(shared: Arc<Shared>) -> Producer {
        let head = shared.header(HEAD).load(Ordering::Acquire);
        Producer { shared, head }
    }

    pub(crate) fn hit(&mut self, header: HitHeader, payload: &[u8]) -> Pushed {
        let HitHeader {
            slot,
            site,
            tid,
            time_ns,
            hits,
        } = header;
        let first = first_word(HIT, slot, site, payload.len());
        let header = [first, u64::from(tid), time_ns, hits];
        self.push(header, [&[], &[]], payload, RESERVE)
    }

    /// A hit whose thread stands still. `extended` is a whole number of words.
    pub(crate) fn held(
        &mut self,
        header: HitHeader,
        registers: &StoppedRegisters,
        extended: &[u8],
        payload: &[u8],
    ) -> Pushed {
        let registers = registers.encode();
        let length = registers.len() + extended.len() + payload.len();
        let first = first_word(HELD, header.slot, header.site, length);
        let second = (extended.len() as u64) << 32 | u64::from(header.tid);
        let header = [first, second, header.time_ns, header.hits];
        self.push(header, [&registers, extended], payload, RESERVE)
    }

    pub(crate) fn done(&mut self, slot: Slot) -> Pushed {
        self.push([first_word(DONE, slot, 0, 0), 0, 0, 0], [&[], &[]], &[], 0)
    }

    pub(crate) fn paused(&mut self, slot: Slot) -> Pushed {
        self.push(
            [first_word(PAUSED, slot, 0, 0), 0, 0, 0],
            [&[], &[]],
            &[],
            0,
        )
    }

    pub(crate) fn resumed(&mut self, slot: Slot) -> Pushed {
        self.push(
            [first_word(RESUMED, slot, 0, 0), 0, 0, 0],
            [&[], &[]],
            &[],
            0,
        )
    }

    pub(crate) fn ended(&mut self, ended: Ended) -> Pushed {
        let (kind, detail) = match ended {
            Ended::Exited { status } => (EXITED, status),
            Ended::Killed { signal } => (KILLED, signal),
            Ended::Execed => (EXECED, 0),
            Ended::Gone => (GONE, 0),
        };
        let detail = u64::from(detail.cast_unsigned());
        let header = [first_word(kind, Slot(0), 0, 0), detail, 0, 0];
        self.push(header, [&[], &[]], &[], 0)
    }

    /// What is before the payload is whole numbers of words.
    fn push(
        &mut self,
        header: [u64; HEADER_WORDS],
        before: [&[u8]; 2],
        payload: &[u8],
        reserve: usize,
    ) -> Pushed {
        let words =
            HEADER_WORDS + (before[0].len() + before[1].len()) / 8 + payload.len().div_ceil(8);
        let tail = self.shared.header(TAIL).load(Ordering::Acquire);
        let used = usize::try_from(self.head.wrapping_sub(tail)).unwrap_or(RING_WORDS);
        if used + words + reserve > RING_WORDS {
            return Pushed::Full;
        }
        let ring = self.shared.ring();
        let start = index(self.head);
        for (offset, word) in header.into_iter().enumerate() {
            ring[(start + offset) & MASK].store(word, Ordering::Relaxed);
        }
        for (offset, bytes) in before[0]
            .chunks(8)
            .chain(before[1].chunks(8))
            .chain(payload.chunks(8))
            .enumerate()
        {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            let at = (start + HEADER_WORDS + offset) & MASK;
            ring[at].store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.head += words as u64;
        // Sequentially consistent with the consumer's announcement that it is about to sleep:
        // either it sees the record or we see that it waits.
        self.shared.header(HEAD).store(self.head, Ordering::SeqCst);
        if self.shared.header(WAITING).swap(0, Ordering::SeqCst) == 1 {
            Pushed::WakeConsumer
        } else {
            Pushed::Quietly
        }
    }
}

/// The agent's end.
#[derive(Debug)]
pub(crate) struct Consumer {
    shared: Arc<Shared>,
    tail: u64,
    payload: Vec<u8>,
    registers: StoppedRegisters,
}

impl Consumer {
    pub(crate) fn new(shared: Arc<Shared>) -> Consumer {
        let tail = shared.header(TAIL).load(Ordering::Acquire);
        Consumer {
            shared,
            tail,
            payload: Vec::new(),
            registers: StoppedRegisters::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shared.header(HEAD).load(Ordering::SeqCst) == self.tail
    }

    /// Announces that the consumer is about to sleep; it must then check [`Self::is_empty`] once
    /// more.
    pub(crate) fn announce_waiting(&self, waiting: bool) {
        self.shared
            .header(WAITING)
            .store(u64::from(waiting), Ordering::SeqCst);
    }

    pub(crate) fn next(&mut self) -> Option<Record<'_>> {
        if self.is_empty() {
            return None;
        }
        let ring = self.shared.ring();
        let start = index(self.tail);
        let word = |offset: usize| ring[(start + offset) & MASK].load(Ordering::Relaxed);
        let (first, second, time_ns, hits) = (word(0), word(1), word(2), word(3));
        let (kind, slot, site, length) = split_first_word(first);
        self.payload.clear();
        for offset in 0..length.div_ceil(8) {
            self.payload
                .extend_from_slice(&word(HEADER_WORDS + offset).to_le_bytes());
        }
        self.payload.truncate(length);
        self.tail += (HEADER_WORDS + length.div_ceil(8)) as u64;
        self.shared.header(TAIL).store(self.tail, Ordering::Release);

        let low = u32::try_from(second & 0xffff_ffff).expect("masked to 32 bits");
        Some(match kind {
            HIT => Record::Hit {
                slot,
                site,
                tid: low,
                time_ns,
                hits,
                payload: &self.payload,
            },
            HELD => {
                let (registers, payload) = self
                    .payload
                    .split_first_chunk::<{ StoppedRegisters::BYTES }>()
                    .expect("we wrote them first");
                self.registers = StoppedRegisters::decode(registers);
                let extended = usize::try_from(second >> 32).expect("32 bits");
                let (extended, payload) = payload.split_at(extended);
                Record::Held {
                    slot,
                    site,
                    tid: low,
                    time_ns,
                    hits,
                    registers: &self.registers,
                    extended,
                    payload,
                }
            }
            DONE => Record::Done { slot },
            PAUSED => Record::Paused { slot },
            RESUMED => Record::Resumed { slot },
            EXITED => Record::Ended(Ended::Exited {
                status: low.cast_signed(),
            }),
            KILLED => Record::Ended(Ended::Killed {
                signal: low.cast_signed(),
            }),
            EXECED => Record::Ended(Ended::Execed),
            GONE => Record::Ended(Ended::Gone),
            other => unreachable!("record of kind {other} in a ring that we write ourselves"),
        })
    }
}

fn first_word(kind: u64, slot: Slot, site: u16, length: usize) -> u64 {
    kind << 56 | u64::from(slot.0) << 40 | u64::from(site) << 24 | length as u64
}

fn split_first_word(word: u64) -> (u64, Slot, u16, usize) {
    let half = |shift: u32| u16::try_from(word >> shift & 0xffff).expect("masked to 16 bits");
    let length = usize::try_from(word & 0xff_ffff).expect("masked to 24 bits");
    (word >> 56, Slot(half(40)), half(24), length)
}

fn index(position: u64) -> usize {
    usize::try_from(position % RING_WORDS as u64).expect("below the ring's size")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Producer, Consumer) {
        let shared = crate::shared::in_memory();
        (Producer::new(shared.clone()), Consumer::new(shared))
    }

    fn header(hits: u64) -> HitHeader {
        HitHeader {
            slot: Slot(3),
            site: 9,
            tid: 77,
            time_ns: 5,
            hits,
        }
    }

    #[test]
    fn records_arrive_in_order_across_the_seam() {
        let (mut producer, mut consumer) = pair();
        let payload = [7u8; 1001];
        for round in 0..20_000u64 {
            assert_ne!(producer.hit(header(round), &payload), Pushed::Full);
            let Some(Record::Hit {
                slot,
                site,
                tid,
                hits,
                payload: back,
                ..
            }) = consumer.next()
            else {
                panic!("no record");
            };
            assert_eq!((slot, site, tid, hits), (Slot(3), 9, 77, round));
            assert_eq!(back, payload);
        }
        assert!(consumer.next().is_none());
    }

    #[test]
    fn registers_of_any_length_come_before_the_payload() {
        let (mut producer, mut consumer) = pair();
        let stopped = StoppedRegisters {
            fs_base: 5,
            st: [[6; 16]; 8],
            ..StoppedRegisters::default()
        };
        for length in [0, 8, 2688] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            producer.held(header(1), &stopped, &bytes, b"payload");
            let Some(Record::Held {
                tid,
                registers,
                extended,
                payload,
                ..
            }) = consumer.next()
            else {
                panic!("no record");
            };
            assert_eq!((tid, *registers), (77, stopped));
            assert_eq!((extended, payload), (&bytes[..], &b"payload"[..]));
        }
        assert!(consumer.next().is_none());
    }

    #[test]
    fn a_full_ring_refuses_hits_and_still_takes_the_end() {
        let (mut producer, mut consumer) = pair();
        let mut pushed = 0u64;
        while producer.hit(header(pushed), &[0; 4096]) != Pushed::Full {
            pushed += 1;
        }
        assert_ne!(producer.done(Slot(3)), Pushed::Full);
        assert_ne!(producer.ended(Ended::Killed { signal: 9 }), Pushed::Full);
        for round in 0..pushed {
            assert!(matches!(consumer.next(), Some(Record::Hit { hits, .. }) if hits == round));
        }
        assert_eq!(consumer.next(), Some(Record::Done { slot: Slot(3) }));
        assert_eq!(
            consumer.next(),
            Some(Record::Ended(Ended::Killed { signal: 9 }))
        );
    }

    #[test]
    fn a_waiting_consumer_is_woken_once() {
        let (mut producer, consumer) = pair();
        consumer.announce_waiting(true);
        assert_eq!(producer.hit(header(1), &[]), Pushed::WakeConsumer);
        assert_eq!(producer.hit(header(2), &[]), Pushed::Quietly);
    }
}
