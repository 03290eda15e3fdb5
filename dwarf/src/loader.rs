//! Files: the memory map, the only `unsafe` of this crate, and separate debug files, the only
//! files that it opens itself.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

/// The directories in which separate debug files are looked for.
pub(crate) const DEBUG_ROOTS: [&str; 1] = ["/usr/lib/debug"];

/// A file's bytes. A file that is cut short by somebody while it is mapped ends the process
/// with SIGBUS where it is read: an agent can bear that, its tracer lets go of the target.
#[derive(Debug)]
pub(crate) struct Mapped(Mmap);

impl Mapped {
    pub(crate) fn new(file: &File) -> std::io::Result<Mapped> {
        // SAFETY: the map is private and read-only. Bytes that change under it are read as
        // plain bytes by parsers that take any input; nothing keeps a `str` or a validated
        // structure that points into it.
        #[expect(unsafe_code, reason = "the fence is this file")]
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

/// Opens `ROOT/.build-id/xx/yyyy.debug` in the first root that has it.
pub(crate) fn open_debug_file(build_id: &[u8], roots: &[&Path]) -> Option<(PathBuf, File)> {
    let (first, rest) = build_id.split_first()?;
    if rest.is_empty() {
        return None;
    }
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    let tail = format!(".build-id/{first:02x}/{rest}.debug");
    roots.iter().find_map(|root| {
        let path = root.join(&tail);
        Some((path.clone(), File::open(&path).ok()?))
    })
}

/// Opens the file that several debug files share: `.gnu_debugaltlink` names it relative to the
/// debug file, or absolutely.
pub(crate) fn open_shared_debug_file(link: &Path, debug_file: &Path) -> Option<File> {
    let beside = debug_file.parent().unwrap_or(Path::new("")).join(link);
    File::open(beside).ok()
}
