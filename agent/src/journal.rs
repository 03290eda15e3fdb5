//! Where it is written down what is planted in which process, for when its tracer and its agent are
//! both killed: one file for each, below `/run/lr` for root, else in the state directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lr_tracer::{JournalOwner, PlantedByte, read_journal};
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::client::{Invoker, StateDir};
use crate::host;

/// What somebody planted and has not put back.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) path: PathBuf,
    pub(crate) planted: Vec<PlantedByte>,
    /// Its tracer or agent is there still, and will see to it.
    pub(crate) is_held: bool,
}

/// Begins the journal of a process. It is locked as long as the descriptor is open anywhere, which
/// is in the agent and in its tracer.
pub(crate) fn begin(pid: u32) -> io::Result<(File, JournalOwner)> {
    let owner = owner_of(pid).ok_or_else(|| io::Error::other("the process has ended"))?;
    let folder = folders()
        .into_iter()
        .next()
        .ok_or_else(|| io::Error::other("there is no folder for it"))?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    let metadata = folder.symlink_metadata()?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() {
        return Err(io::Error::other(format!(
            "{} is somebody else's",
            folder.display()
        )));
    }
    sweep(&folder);
    let path = folder.join(name_of(&owner));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = match options.open(&path) {
        // What an earlier tracer left is put back before anything new is written down.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(io::Error::other(format!(
                "{} says that bytes of an earlier tracer are left; `lr repair {pid}` puts them back",
                path.display()
            )));
        }
        opened => opened?,
    };
    file.try_lock()?;
    Ok((file, owner))
}

/// What is left in a process, by its journals.
pub(crate) fn left_in(pid: u32) -> Option<Left> {
    let name = name_of(&owner_of(pid)?);
    folders()
        .into_iter()
        .map(|folder| folder.join(&name))
        .find_map(|path| left_at(&path).map(|(_, left)| left))
}

fn left_at(path: &Path) -> Option<(JournalOwner, Left)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let (owner, planted) = read_journal(&file).ok()??;
    let left = Left {
        path: path.to_owned(),
        planted,
        is_held: file.try_lock_shared().is_err(),
    };
    Some((owner, left))
}

/// Removes journals that nobody holds and that say nothing: nothing is left, or the process is gone.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Some((owner, left)) = left_at(&path) else {
            continue;
        };
        let is_over = owner_of(owner.pid) != Some(owner) || left.planted.is_empty();
        if !left.is_held && is_over {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Where journals are, the place for new ones first.
fn folders() -> Vec<PathBuf> {
    let own = Invoker::of_this_process()
        .ok()
        .map(|invoker| StateDir::of(&invoker).path().join("journal"));
    let of_root = geteuid()
        .is_root()
        .then(|| PathBuf::from("/run/lr/journal"));
    of_root.into_iter().chain(own).collect()
}

fn name_of(owner: &JournalOwner) -> String {
    format!("{}-{}-{:016x}", owner.pid, owner.started, owner.boot)
}

fn owner_of(pid: u32) -> Option<JournalOwner> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = boot
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    Some(JournalOwner {
        pid,
        started: host::read_stat(pid).ok()?.start_ticks,
        boot: u64::from_str_radix(&digits, 16).ok()?,
    })
}
