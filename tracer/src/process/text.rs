//! The only place that writes to a target: one byte of private, file-backed, executable text,
//! `0xCC` or the original.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use crate::journal::JournalWriter;

/// The breakpoint instruction, `int3`.
pub(crate) const INT3: u8 = 0xcc;

/// The text of one address space. It stays that address space's after an exec.
#[derive(Debug)]
pub(crate) struct Text {
    memory: File,
    /// Where is told what is planted. Without one nothing may be.
    journal: Option<JournalWriter>,
}

/// What restoring a byte found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Restored {
    /// The original is back and was read again.
    Yes,
    /// Something else than our byte was there; it was left alone.
    Foreign,
    /// The address is not mapped any more.
    Unmapped,
}

impl Text {
    pub(crate) fn open(pid: i32) -> io::Result<Text> {
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))?;
        Ok(Text {
            memory,
            journal: None,
        })
    }

    /// To plant in.
    pub(crate) fn open_with(pid: i32, journal: JournalWriter) -> io::Result<Text> {
        let journal = Some(journal);
        Ok(Text {
            journal,
            ..Text::open(pid)?
        })
    }

    /// Reads text, also where the mapping is execute-only.
    pub(crate) fn read(&self, address: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read_exact_at(out, address)
    }

    /// Puts our byte where `original` is.
    pub(crate) fn plant(&self, address: u64, original: u8) -> io::Result<()> {
        assert_ne!(
            original, INT3,
            "a breakpoint of somebody else's at {address:#x}"
        );
        if self.byte(address)? != original {
            return Err(io::Error::other("the text changed meanwhile"));
        }
        let Some(journal) = &self.journal else {
            return Err(io::Error::other("nothing is planted without a journal"));
        };
        journal.write_down(address, original)?;
        let planted = self.write(address, INT3);
        if planted.is_err() {
            journal.strike_out(address);
        }
        planted
    }

    /// Puts `original` back where our byte is.
    pub(crate) fn restore(&self, address: u64, original: u8) -> Restored {
        let restored = self.put_back(address, original);
        // What could not be written is there still.
        let is_left = restored == Restored::Unmapped && self.byte(address).is_ok();
        if !is_left {
            self.give_up(address);
        }
        restored
    }

    /// What was planted there is not there any more; something else is.
    pub(crate) fn give_up(&self, address: u64) {
        if let Some(journal) = &self.journal {
            journal.strike_out(address);
        }
    }

    fn put_back(&self, address: u64, original: u8) -> Restored {
        match self.byte(address) {
            Ok(INT3) => {}
            Ok(_) => return Restored::Foreign,
            Err(_) => return Restored::Unmapped,
        }
        if self.write(address, original).is_err() {
            return Restored::Unmapped;
        }
        match self.byte(address) {
            Ok(byte) if byte == original => Restored::Yes,
            Ok(_) => Restored::Foreign,
            Err(_) => Restored::Unmapped,
        }
    }

    fn byte(&self, address: u64) -> io::Result<u8> {
        let mut byte = [0];
        self.read(address, &mut byte)?;
        Ok(byte[0])
    }

    fn write(&self, address: u64, byte: u8) -> io::Result<()> {
        self.memory.write_all_at(&[byte], address)
    }
}

/// Puts bytes back that a tracer left which has died. It cannot plant.
#[derive(Debug)]
pub struct PutBack(Text);

impl PutBack {
    pub fn open(pid: u32) -> io::Result<PutBack> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        Text::open(pid).map(PutBack)
    }

    /// Writes `original` where `int3` is; an error says why it did not, in words.
    pub fn put_back(&self, address: u64, original: u8) -> Result<(), String> {
        match self.0.restore(address, original) {
            Restored::Yes => Ok(()),
            Restored::Foreign => Err("something else is there now".to_owned()),
            Restored::Unmapped => Err("it could not be written".to_owned()),
        }
    }
}
