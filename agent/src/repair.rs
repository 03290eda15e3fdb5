//! Bytes of ours that a killed tracer left in a process, and putting them back. A byte is written
//! only where `int3` is now and where the file that is mapped there has another byte; without
//! `force` also only where a journal says that we planted it over that same byte.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use lr_tracer::PutBack;

use crate::host::{self, living_thread};
use crate::journal;
use crate::maps::{self, Mapping};

/// `int3`.
const INT3: u8 = 0xcc;
/// How much text is compared at once.
const PIECE: usize = 1 << 16;

/// A byte that is not what its file has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stray {
    pub address: u64,
    /// The file that is mapped there.
    pub file: String,
    /// What that has.
    pub original: u8,
    /// Whether a journal of ours says that it is ours.
    pub is_ours: bool,
}

/// What is left in a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Strays {
    /// A tracer holds it: what is planted is that one's, and it puts it back.
    Held {
        by: u32,
    },
    Found(Vec<Stray>),
}

/// Why nothing can be said, or done.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error("no process {0}")]
    NoSuchProcess(u32),
    #[error("process {pid} is held by its tracer, process {by}")]
    Held { pid: u32, by: u32 },
    #[error("the agent of process {0} is there still and puts the bytes back itself")]
    AgentAlive(u32),
    #[error("cannot read the memory of process {pid}: {source}")]
    Memory { pid: u32, source: io::Error },
}

impl RepairError {
    pub fn code(&self) -> &'static str {
        match self {
            RepairError::NoSuchProcess(_) => "no_such_process",
            RepairError::Held { .. } | RepairError::AgentAlive(_) => "already_traced",
            RepairError::Memory { .. } => "permission_denied",
        }
    }
}

/// What was done about a stray.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    pub stray: Stray,
    /// Why it was left, if it was.
    pub left: Option<String>,
}

/// Compares all text of files in a process with the files, and stops nothing.
pub fn strays(pid: u32) -> Result<Strays, RepairError> {
    let tracer = host::tracer_of(pid).ok_or(RepairError::NoSuchProcess(pid))?;
    if tracer != 0 {
        return Ok(Strays::Held { by: tracer });
    }
    let unreadable = |source| RepairError::Memory { pid, source };
    let ours: Vec<u64> = journal::left_in(pid).map_or(Vec::new(), |left| {
        left.planted.iter().map(|byte| byte.address).collect()
    });
    let memory = File::open(format!("/proc/{}/mem", living_thread(pid))).map_err(unreadable)?;
    let mut found = Vec::new();
    for mapping in maps::read(pid).map_err(unreadable)? {
        if mapping.is_private_text()
            && let Some(file) = mapped_file(pid, &mapping)
        {
            compare(&mapping, &memory, &file, |address, original| {
                found.push(Stray {
                    address,
                    file: mapping.path.clone(),
                    original,
                    is_ours: ours.contains(&address),
                });
            });
        }
    }
    Ok(Strays::Found(found))
}

/// Puts back what is ours, or with `force` every `int3` that its file does not have.
pub fn repair(pid: u32, force: bool) -> Result<Vec<Repaired>, RepairError> {
    let left = journal::left_in(pid);
    let found = match strays(pid)? {
        Strays::Held { by } => return Err(RepairError::Held { pid, by }),
        Strays::Found(_) if left.as_ref().is_some_and(|left| left.is_held) => {
            return Err(RepairError::AgentAlive(pid));
        }
        Strays::Found(found) => found,
    };
    let text = PutBack::open(pid).map_err(|source| RepairError::Memory { pid, source })?;
    let noted = |stray: &Stray| {
        let planted = left.iter().flat_map(|left| &left.planted);
        planted
            .into_iter()
            .any(|byte| byte.address == stray.address && byte.original == stray.original)
    };
    let mut repaired = Vec::new();
    for stray in found {
        let left = match force || noted(&stray) {
            true => text.put_back(stray.address, stray.original).err(),
            false => {
                Some("no journal of ours has it; --force puts it back all the same".to_owned())
            }
        };
        repaired.push(Repaired { stray, left });
    }
    if let Some(left) = left
        && repaired
            .iter()
            .all(|one| one.left.is_none() || !one.stray.is_ours)
    {
        let _ = std::fs::remove_file(left.path);
    }
    Ok(repaired)
}

/// The file that is mapped, and no other that has its name now.
fn mapped_file(pid: u32, mapping: &Mapping) -> Option<File> {
    let process = living_thread(pid);
    let (start, end) = (mapping.start, mapping.end);
    File::open(format!("/proc/{process}/map_files/{start:x}-{end:x}"))
        .ok()
        .or_else(|| {
            let path = mapping.path.trim_start_matches('/');
            let file = File::open(format!("/proc/{process}/root/{path}")).ok()?;
            let metadata = file.metadata().ok()?;
            let device = metadata.dev();
            let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
            (metadata.ino() == mapping.inode
                && mapping.device == format!("{major:02x}:{minor:02x}"))
            .then_some(file)
        })
}

/// Tells each address at which memory has `int3` and the file has something else.
fn compare(mapping: &Mapping, memory: &File, file: &File, mut tell: impl FnMut(u64, u8)) {
    let (mut of_memory, mut of_file) = (vec![0; PIECE], vec![0; PIECE]);
    let mut done = 0;
    while done < mapping.len() {
        let wanted = usize::try_from(mapping.len() - done).map_or(PIECE, |left| left.min(PIECE));
        let read = memory.read_exact_at(&mut of_memory[..wanted], mapping.start + done);
        // Behind the end of its file a mapping has no bytes.
        let Ok(count) = file.read_at(&mut of_file[..wanted], mapping.offset + done) else {
            return;
        };
        if read.is_ok() {
            let pairs = of_memory.iter().zip(&of_file).take(count.min(wanted));
            for (offset, (now, original)) in (0..).zip(pairs) {
                if *now == INT3 && *original != INT3 {
                    tell(mapping.start + done + offset, *original);
                }
            }
        }
        done += wanted as u64;
    }
}
