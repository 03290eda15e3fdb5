use nix::unistd::Pid;

use crate::sys;
use crate::xsave::{Offsets, XSAVE_BYTES};

/// The vector registers of the thread that is stopped, fetched when somebody asks for them and kept
/// as long as the stop.
#[derive(Debug)]
pub(crate) struct Vectors {
    area: Box<[u8; XSAVE_BYTES]>,
    /// How much of the area counts; `None` before it was fetched.
    len: Option<usize>,
    offsets: Offsets,
}

impl Vectors {
    pub(crate) fn new() -> Vectors {
        Vectors {
            area: Box::new([0; XSAVE_BYTES]),
            len: None,
            offsets: Offsets::here(),
        }
    }

    pub(crate) fn forget(&mut self) {
        self.len = None;
    }

    /// Empty of a thread that is being killed, and on a processor without XSAVE.
    pub(crate) fn of(&mut self, tid: Pid) -> &[u8] {
        let len = match self.len {
            Some(len) => len,
            None => sys::get_extended(tid.as_raw(), self.area.as_mut_slice()).unwrap_or(0),
        };
        self.len = Some(len);
        &self.area[..len]
    }

    pub(crate) fn lane(&mut self, tid: Pid, register: u8, lane: u8) -> Option<u64> {
        let offsets = self.offsets;
        offsets.lane(self.of(tid), register, lane)
    }
}
