//! The only place that writes to a target: one byte of private, file-backed, executable text,
//! `0xCC` or the original.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

/// The breakpoint instruction, `int3`.
pub(crate) const INT3: u8 = 0xcc;

/// The text of one address space. It stays that address space's after an exec.
#[derive(Debug)]
pub(crate) struct Text {
    memory: File,
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
        Ok(Text { memory })
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
        self.write(address, INT3)
    }

    /// Puts `original` back where our byte is.
    pub(crate) fn restore(&self, address: u64, original: u8) -> Restored {
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
