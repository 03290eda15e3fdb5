use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::host::living_thread;
use crate::maps::Mapping;

/// What `/proc/pid/exe` says of the file, to find its mappings by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Executable {
    pub(super) path: String,
    pub(super) inode: u64,
}

pub(super) fn executable_of(pid: u32, mappings: &[Mapping]) -> Option<Executable> {
    let exe = PathBuf::from(format!("/proc/{}/exe", living_thread(pid)));
    let path = std::fs::read_link(&exe)
        .ok()?
        .to_string_lossy()
        .into_owned();
    let inode = std::fs::metadata(&exe).map_or(0, |metadata| metadata.ino());
    // In another mount namespace the two may write the same path differently; then the inode
    // decides alone.
    let path = match mappings.iter().any(|mapping| mapping.path == path) {
        true => path,
        false => mappings
            .iter()
            .find(|mapping| mapping.inode == inode)?
            .path
            .clone(),
    };
    Some(Executable { path, inode })
}
