//! The memory of a stopped thread, as far as it can be read without waiting for others.

use lr_probe::{Memory, MemoryFault};
use nix::unistd::Pid;

use crate::process::vectors::Vectors;
use crate::remote::RemoteMemory;

/// Bytes of one cached line. Lines never cross a page.
const LINE: usize = 256;
const LINES: usize = 8;

/// Reads through a few lines that live as long as one stop, so that the members of one object
/// cost one system call.
#[derive(Debug)]
pub(crate) struct StoppedMemory {
    tid: Pid,
    remote: RemoteMemory,
    tags: [u64; LINES],
    lines: Box<[[u8; LINE]; LINES]>,
    vectors: Vectors,
}

impl StoppedMemory {
    pub(crate) fn new(tid: i32) -> StoppedMemory {
        StoppedMemory {
            tid: Pid::from_raw(tid),
            remote: RemoteMemory::new(tid.cast_unsigned()),
            tags: [0; LINES],
            lines: Box::new([[0; LINE]; LINES]),
            vectors: Vectors::new(),
        }
    }

    /// Forgets what an earlier stop saw; memory is now that of `tid`, since a leader that has
    /// ended has none.
    pub(crate) fn begin_stop(&mut self, tid: i32, stack_pointer: u64) {
        self.tid = Pid::from_raw(tid);
        // Its calls have just written there, which spares most stops a look at the page map.
        self.remote.begin(tid.cast_unsigned(), Some(stack_pointer));
        // No line starts at zero: that page is never mapped for a program.
        self.tags = [0; LINES];
        self.vectors.forget();
    }

    /// All that the kernel tells of the vector registers of the thread; empty where it does not.
    pub(crate) fn extended(&mut self) -> &[u8] {
        self.vectors.of(self.tid)
    }

    /// Reads past the cache.
    pub(crate) fn read_now(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let read = self.remote.read(address, out);
        match read == out.len() {
            true => Ok(()),
            false => Err(MemoryFault {
                address: address.wrapping_add(read as u64),
            }),
        }
    }

    fn line(&mut self, start: u64) -> Result<&[u8; LINE], MemoryFault> {
        let slot = usize::try_from(start / LINE as u64 % LINES as u64).expect("below LINES");
        if self.tags[slot] != start {
            self.tags[slot] = 0;
            let mut line = [0; LINE];
            self.read_now(start, &mut line)?;
            self.lines[slot] = line;
            self.tags[slot] = start;
        }
        Ok(&self.lines[slot])
    }
}

impl Memory for StoppedMemory {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        if out.len() > LINE {
            return self.read_now(address, out);
        }
        let mut done = 0;
        while done < out.len() {
            let at = address.wrapping_add(done as u64);
            let offset = usize::try_from(at % LINE as u64).expect("below LINE");
            let count = (out.len() - done).min(LINE - offset);
            let line = self
                .line(at - offset as u64)
                .map_err(|_| MemoryFault { address: at })?;
            out[done..done + count].copy_from_slice(&line[offset..offset + count]);
            done += count;
        }
        Ok(())
    }

    fn wide_lane(&mut self, register: u8, lane: u8) -> Option<u64> {
        self.vectors.lane(self.tid, register, lane)
    }
}
