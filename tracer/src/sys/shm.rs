use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// A piece of memory shared between processes, seen as words.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    fd: OwnedFd,
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping lives as long as the value, is not tied to a thread, and is accessed only
// through atomics.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Creates `bytes` of zeroed memory (memfd_create(2)) that is closed on exec.
    pub(crate) fn create(bytes: usize) -> io::Result<SharedMemory> {
        // SAFETY: the name is a NUL-terminated string; the result is checked.
        let fd = unsafe { libc::memfd_create(c"lr-ring".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let length = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
        // SAFETY: the descriptor is open.
        if unsafe { libc::ftruncate(fd.as_raw_fd(), length) } != 0 {
            return Err(io::Error::last_os_error());
        }
        SharedMemory::map(fd, bytes)
    }

    /// Maps `bytes` of an inherited memory.
    pub(crate) fn map(fd: OwnedFd, bytes: usize) -> io::Result<SharedMemory> {
        // A shorter file would raise SIGBUS at the first touch behind its end.
        let size = std::fs::File::from(fd.try_clone()?).metadata()?.len();
        if size < bytes as u64 {
            return Err(io::Error::other(format!(
                "{size} bytes of shared memory, need {bytes}"
            )));
        }
        // SAFETY: a new mapping at an address that the kernel chooses; the result is checked.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(SharedMemory {
            fd,
            start,
            words: bytes / 8,
        })
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, `words * 8` bytes long, lives as long as `self`,
        // and every process accesses it through atomics only.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and no reference to it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * 8) };
    }
}
