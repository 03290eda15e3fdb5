use std::fs::File;
use std::ops::Deref;

use memmap2::Mmap;

/// A file's bytes. A file that is cut short by somebody while it is mapped ends the process
/// with SIGBUS where it is read: an agent can bear that, its tracer lets go of the target.
#[derive(Debug)]
pub(crate) struct Mapped(Mmap);

impl Mapped {
    pub(crate) fn new(file: &File) -> std::io::Result<Mapped> {
        // SAFETY: the map is private and read-only. Bytes that change under it are read as
        // plain bytes by parsers that take any input; nothing keeps a `str` or a validated
        // structure that points into it.
        #[expect(unsafe_code, reason = "the fence is this folder")]
        let map = unsafe { Mmap::map(file)? };
        Ok(Mapped(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
