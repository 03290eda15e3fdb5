use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSegment, SegmentFlags, elf};

use crate::address::FileAddr;

/// A piece of a file that a `PT_LOAD` maps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    pub addr: FileAddr,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes that come from the file.
    pub len: u64,
    pub executable: bool,
    pub writable: bool,
}

impl Segment {
    pub(super) fn holds(&self, addr: FileAddr) -> bool {
        addr.0 >= self.addr.0 && addr.0 - self.addr.0 < self.len
    }

    /// The bytes at an address of it; `None` where they are not all in it.
    pub(super) fn bytes<'a>(&self, file: &'a [u8], addr: FileAddr, len: usize) -> Option<&'a [u8]> {
        let skip = addr.0 - self.addr.0;
        if skip.checked_add(len as u64)? > self.len {
            return None;
        }
        let start = usize::try_from(self.offset.checked_add(skip)?).ok()?;
        file.get(start..start.checked_add(len)?)
    }
}

/// The segments with code, and all that are loaded.
pub(super) fn segments(
    elf: &ElfFile64<'_, Endianness>,
    file_len: usize,
) -> (Vec<Segment>, Vec<Segment>) {
    let (mut code, mut all) = (Vec::new(), Vec::new());
    for segment in elf.segments() {
        let SegmentFlags::Elf { p_flags, .. } = segment.flags() else {
            continue;
        };
        let (offset, len) = segment.file_range();
        let in_file = offset
            .checked_add(len)
            .is_some_and(|end| end <= file_len as u64);
        let no_wrap = segment.address().checked_add(len).is_some();
        if !in_file || !no_wrap {
            continue;
        }
        let segment = Segment {
            addr: FileAddr(segment.address()),
            offset,
            len,
            executable: p_flags.contains(elf::PF_X),
            writable: p_flags.contains(elf::PF_W),
        };
        if p_flags.contains(elf::PF_X) {
            code.push(segment.clone());
        }
        all.push(segment);
    }
    (code, all)
}
