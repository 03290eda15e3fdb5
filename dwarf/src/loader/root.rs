use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::regular::{OpenError, reopen};

/// How often a lookup is begun again that a rename elsewhere got in the way of.
const ATTEMPTS: usize = 16;

/// A directory that paths are looked up beneath, as though it were `/`: no link and no `..` in
/// them leads out of it.
#[derive(Clone, Debug)]
pub struct Root {
    directory: Arc<OwnedFd>,
    /// How the directory is called by us.
    name: PathBuf,
}

impl Root {
    /// The root of this process.
    pub fn host() -> io::Result<Root> {
        Root::at(Path::new("/"))
    }

    /// The root of a process: where its mount namespace and its `chroot` put `/`.
    pub fn of_process(pid: u32) -> io::Result<Root> {
        Root::at(&PathBuf::from(format!("/proc/{pid}/root")))
    }

    pub fn at(directory: &Path) -> io::Result<Root> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = File::options()
            .read(true)
            .custom_flags(flags.bits())
            .open(directory)?;
        Ok(Root {
            directory: Arc::new(opened.into()),
            name: directory.to_owned(),
        })
    }

    /// Opens a regular file for reading. An absolute path and absolute links in it begin at this
    /// root (`openat2` with `RESOLVE_IN_ROOT`); the kernel's links in `/proc` are not followed.
    pub fn open(&self, path: &Path) -> Result<File, OpenError> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let mut attempts = 0;
        loop {
            attempts += 1;
            match openat2(self.directory.as_fd(), path, how) {
                Ok(place) => return reopen(place),
                // openat2(2): a `..` met a rename or a mount, which can be anybody's.
                Err(Errno::EAGAIN | Errno::EINTR) if attempts < ATTEMPTS => {}
                Err(error) => return Err(OpenError::Io(error.into())),
            }
        }
    }

    /// The directories that a file of this name is in: as it is written and, where the root is
    /// this process's own, as its links lead. Paths of a target come from the kernel without links.
    pub(crate) fn directories_of(&self, name: &Path) -> Vec<PathBuf> {
        let name = std::path::absolute(name).unwrap_or_else(|_| name.to_owned());
        let mut directories: Vec<PathBuf> = name.parent().map(Path::to_owned).into_iter().collect();
        if self.name == Path::new("/")
            && let Ok(real) = std::fs::canonicalize(&name)
            && let Some(parent) = real.parent()
            && !directories.iter().any(|known| known == parent)
        {
            directories.push(parent.to_owned());
        }
        directories
    }

    /// A file of this name, in each of the directories that the name may stand for.
    pub(crate) fn beside(&self, name: &Path) -> Vec<PathBuf> {
        let file = name.file_name().unwrap_or_default();
        let directories = self.directories_of(name);
        directories
            .iter()
            .map(|directory| directory.join(file))
            .collect()
    }

    /// What one of its paths is called outside of it.
    pub fn outside_name(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(inside) => self.name.join(inside),
            Err(_) => self.name.join(path),
        }
    }

    /// Whether both are the same directory of the same mount.
    pub(crate) fn is_same(&self, other: &Root) -> bool {
        match (identity(&self.directory), identity(&other.directory)) {
            (Ok(one), Ok(two)) => one == two,
            _ => false,
        }
    }
}

/// Device, inode and mount of a directory. The directory alone does not do: another mount
/// namespace may have other file systems beneath the same one.
fn identity(directory: &OwnedFd) -> io::Result<(u64, u64, String)> {
    use std::os::fd::AsRawFd;
    let metadata = File::from(directory.try_clone()?).metadata()?;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", directory.as_raw_fd()))?;
    let mount = info
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))
        .unwrap_or_default();
    Ok((metadata.dev(), metadata.ino(), mount.trim().to_owned()))
}
