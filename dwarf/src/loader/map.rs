use std::fs::File;
use std::ops::Deref;

use memmap2::Mmap;

use super::sigbus::Registered;

/// A file's bytes, mapped, or bytes that somebody read.
///
/// A file that is cut short while it is mapped reads as zeros from there on, and says so: whoever
/// used the bytes asks afterwards, and gives an error in place of an answer.
#[derive(Debug)]
pub(crate) struct Mapped(Bytes);

#[derive(Debug)]
enum Bytes {
    File {
        // Before the map: what is unmapped is not registered.
        registered: Registered,
        map: Mmap,
    },
    Memory(Vec<u8>),
}

impl Mapped {
    pub(crate) fn new(file: &File) -> std::io::Result<Mapped> {
        // SAFETY: the map is private and read-only. Bytes that change under it are read as
        // plain bytes by parsers that take any input; nothing keeps a `str` or a validated
        // structure that points into it.
        #[expect(unsafe_code, reason = "the fence is this folder")]
        let map = unsafe { Mmap::map(file)? };
        let registered = Registered::new(map.as_ptr() as usize, map.len());
        Ok(Mapped(Bytes::File { registered, map }))
    }

    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Mapped {
        Mapped(Bytes::Memory(bytes))
    }

    /// Whether bytes were missing when they were read.
    pub(crate) fn is_torn(&self) -> bool {
        match &self.0 {
            Bytes::File { registered, .. } => registered.is_torn(),
            Bytes::Memory(_) => false,
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::File { map, .. } => map,
            Bytes::Memory(bytes) => bytes,
        }
    }
}
