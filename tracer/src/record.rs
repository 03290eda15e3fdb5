use lr_probe::REGISTER_COUNT;

use crate::command::Slot;

/// What the tracer process tells, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// A hit whose condition held, within limit and rate.
    Hit {
        slot: Slot,
        /// Index into [`crate::ArmAction::sites`].
        site: u16,
        tid: u32,
        /// Nanoseconds since the Unix epoch, taken when the stop was seen.
        time_ns: u64,
        /// Hits of the slot so far, this one included.
        hits: u64,
        /// What the program kept; see [`lr_probe::Fields`].
        payload: &'a [u8],
    },
    /// The same of a slot that holds. The thread stands still until [`crate::Tracer::let_on`], or
    /// until the slot's time is over.
    Held {
        slot: Slot,
        site: u16,
        tid: u32,
        time_ns: u64,
        hits: u64,
        registers: &'a StoppedRegisters,
        /// What XSAVE keeps of its vectors, in the standard form; empty where the kernel does not
        /// tell. Where a state begins in it, [`crate::xsave_offset`] says.
        extended: &'a [u8],
        payload: &'a [u8],
    },
    /// The slot reached its limit; its bytes are back already.
    Done { slot: Slot },
    /// The stop-time budget of the slot is used up; its sites are unplanted for a while.
    Paused { slot: Slot },
    /// The slot's sites are planted again.
    Resumed { slot: Slot },
    /// The process is gone or runs another program; nothing follows.
    Ended(Ended),
}

/// How the attachment to a process ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    Exited {
        status: i32,
    },
    Killed {
        signal: i32,
    },
    Execed,
    /// It was gone when we looked; nobody told us how.
    Gone,
}

/// The registers of a thread that stands still before the instruction of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoppedRegisters {
    /// rax to r15 and rip, by DWARF number.
    pub general: [u64; REGISTER_COUNT],
    pub fs_base: u64,
    pub xmm: [[u8; 16]; 16],
    /// `st0` to `st7`, ten bytes of each.
    pub st: [[u8; 16]; 8],
}

impl StoppedRegisters {
    /// Bytes of the encoded form, a multiple of eight.
    pub(crate) const BYTES: usize = (REGISTER_COUNT + 1) * 8 + 24 * 16;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let (words, vectors) = out.split_at_mut((REGISTER_COUNT + 1) * 8);
        let values = self.general.iter().chain([&self.fs_base]);
        for (room, value) in words.as_chunks_mut::<8>().0.iter_mut().zip(values) {
            *room = value.to_le_bytes();
        }
        let values = self.xmm.iter().chain(&self.st);
        for (room, value) in vectors.as_chunks_mut::<16>().0.iter_mut().zip(values) {
            *room = *value;
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8; Self::BYTES]) -> StoppedRegisters {
        let (words, vectors) = bytes.split_at((REGISTER_COUNT + 1) * 8);
        let mut registers = StoppedRegisters::default();
        let words = words.as_chunks::<8>().0;
        for (value, word) in registers.general.iter_mut().zip(words) {
            *value = u64::from_le_bytes(*word);
        }
        registers.fs_base = words.last().map_or(0, |word| u64::from_le_bytes(*word));
        let places = registers.xmm.iter_mut().chain(&mut registers.st);
        for (value, vector) in places.zip(vectors.as_chunks::<16>().0) {
            *value = *vector;
        }
        registers
    }
}
