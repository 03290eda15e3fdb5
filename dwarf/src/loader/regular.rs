use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// The most bytes of a file that is read here. The largest programs with all their debug info
/// have a quarter of it.
const MAX_FILE: u64 = 16 << 30;

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it has {bytes} bytes, the limit is {MAX_FILE}")]
    TooLarge { bytes: u64 },
}

impl OpenError {
    /// Whether there is nothing of that name.
    pub fn is_absent(&self) -> bool {
        matches!(
            self.kind(),
            Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        )
    }

    /// What the kernel said, where it was the kernel that did not open it.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            OpenError::Io(error) => Some(error.kind()),
            _ => None,
        }
    }
}

/// Opens a file for reading through whatever links its path has, `/proc/PID/exe` and
/// `/proc/PID/map_files` included. It never waits, and what is not a regular file is not opened:
/// opening a pipe or a device can do something.
pub fn open_regular(path: &Path) -> Result<File, OpenError> {
    let place = File::options()
        .read(true)
        .custom_flags((OFlag::O_PATH | OFlag::O_CLOEXEC).bits())
        .open(path)?;
    reopen(place.into())
}

/// Opens for reading what an `O_PATH` descriptor is the place of.
pub(super) fn reopen(place: OwnedFd) -> Result<File, OpenError> {
    let place = File::from(place);
    let metadata = place.metadata()?;
    if !metadata.is_file() {
        return Err(OpenError::NotRegular);
    }
    if metadata.len() > MAX_FILE {
        return Err(OpenError::TooLarge {
            bytes: metadata.len(),
        });
    }
    // The kernel's link to our own descriptor leads to this very file, wherever its path leads by
    // now. O_NONBLOCK: whoever holds a lease on the file (fcntl(2)) is not waited for.
    let file = File::options()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY).bits())
        .open(format!("/proc/self/fd/{}", place.as_raw_fd()))?;
    Ok(file)
}
