//! Parts of numbers and texts behind one another: the form of an index in memory and on disk.

use std::ops::{Deref, Range};

use crate::loader::Mapped;

/// Four bytes for each number.
const WORD: usize = 4;
/// The most parts of one table.
const MAX_PARTS: usize = 16;

/// Parts that were written by a [`TableBuilder`], perhaps by another process: every access is
/// checked, and what is not there reads as zero or as empty.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Bytes,
    parts: Vec<Range<usize>>,
}

#[derive(Debug)]
enum Bytes {
    Own(Vec<u8>),
    /// A file, and how many bytes of it come before the table.
    Mapped(Mapped, usize),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Own(bytes) => bytes,
            Bytes::Mapped(map, skip) => map.get(*skip..).unwrap_or_default(),
        }
    }
}

impl Table {
    /// The table that begins at `skip` of a file; `None` where there is none.
    pub(super) fn mapped(map: Mapped, skip: usize) -> Option<Table> {
        Table::new(Bytes::Mapped(map, skip))
    }

    fn new(bytes: Bytes) -> Option<Table> {
        let word = |at: usize| {
            let bytes = bytes.get(at * 8..at * 8 + 8)?.try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        let count = word(0).filter(|&count| count <= MAX_PARTS)?;
        let mut begin = (count + 1) * 8;
        let mut parts = Vec::new();
        for part in 0..count {
            let end = begin.checked_add(word(part + 1)?)?;
            if end > bytes.len() {
                return None;
            }
            parts.push(begin..end);
            begin = end;
        }
        Some(Table { bytes, parts })
    }

    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// How many numbers a part has.
    pub(super) fn len(&self, part: usize) -> usize {
        self.parts.get(part).map_or(0, |range| range.len() / WORD)
    }

    #[inline]
    pub(super) fn number(&self, part: usize, index: usize) -> u32 {
        let read = || {
            let bytes = self.bytes.get(self.parts.get(part)?.clone())?;
            let at = index.checked_mul(WORD)?;
            let bytes = bytes.get(at..at.checked_add(WORD)?)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        read().unwrap_or(0)
    }

    pub(super) fn bytes(&self, part: usize, begin: u32, end: u32) -> &[u8] {
        let read = || {
            let bytes = self.bytes.get(self.parts.get(part)?.clone())?;
            bytes.get(begin as usize..end as usize)
        };
        read().unwrap_or_default()
    }

    /// Whether its file was cut short while it was read.
    pub(super) fn is_torn(&self) -> bool {
        match &self.bytes {
            Bytes::Own(_) => false,
            Bytes::Mapped(map, _) => map.is_torn(),
        }
    }

    /// The table as it is kept on disk.
    pub(super) fn raw(&self) -> &[u8] {
        &self.bytes
    }
}

/// Parts that are being written.
#[derive(Debug)]
pub(super) struct TableBuilder {
    parts: Vec<Vec<u8>>,
}

impl TableBuilder {
    pub(super) fn new(parts: usize) -> TableBuilder {
        TableBuilder {
            parts: vec![Vec::new(); parts],
        }
    }

    pub(super) fn reserve(&mut self, part: usize, numbers: usize) {
        self.parts[part].reserve_exact(numbers * WORD);
    }

    pub(super) fn push(&mut self, part: usize, number: u32) {
        self.parts[part].extend_from_slice(&number.to_le_bytes());
    }

    /// Appends a text and returns where it ends; `None` if that is beyond what a number can say.
    pub(super) fn text(&mut self, part: usize, text: &[u8]) -> Option<u32> {
        self.parts[part].extend_from_slice(text);
        u32::try_from(self.parts[part].len()).ok()
    }

    pub(super) fn finish(self) -> Table {
        let len: usize = self.parts.iter().map(Vec::len).sum();
        let mut bytes = Vec::with_capacity(len + (self.parts.len() + 1) * 8);
        bytes.extend_from_slice(&(self.parts.len() as u64).to_le_bytes());
        for part in &self.parts {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        }
        for part in self.parts {
            bytes.extend_from_slice(&part);
        }
        Table::new(Bytes::Own(bytes)).expect("lengths are those of the parts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_and_nothing_else() {
        let mut builder = TableBuilder::new(2);
        builder.push(0, 7);
        assert_eq!(builder.text(1, b"ab"), Some(2));
        let table = builder.finish();
        assert_eq!((table.len(0), table.number(0, 0)), (1, 7));
        assert_eq!(table.number(0, 1), 0);
        assert_eq!(table.number(9, usize::MAX), 0);
        assert_eq!(table.bytes(1, 0, 2), b"ab");
        assert_eq!(table.bytes(1, 2, 1), b"");
        assert_eq!(table.bytes(1, 0, 3), b"");
    }

    #[test]
    fn lengths_beyond_the_bytes_are_no_table() {
        let bytes = |parts: u64, len: u64| {
            let mut bytes = parts.to_le_bytes().to_vec();
            bytes.extend(len.to_le_bytes());
            bytes.extend([0; 8]);
            Table::new(Bytes::Own(bytes)).is_some()
        };
        assert!(bytes(1, 8));
        assert!(!bytes(1, 9));
        assert!(!bytes(1, u64::MAX));
        assert!(!bytes(u64::MAX, 0));
        assert!(!bytes(3, 0));
    }
}
