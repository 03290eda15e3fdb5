//! One file with code in a process, and how it is opened.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use lr_dwarf::{Binary, OpenError, Root, open_regular};

use super::error::ModuleError;
use super::executable::Executable;
use super::name::{VDSO, is_called};
use crate::debug_files::{self, Asking};
use crate::host::living_thread;
use crate::indexed::indexed;
use crate::maps::Mapping;

/// One file with code in the process.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) path: String,
    /// Tells files of one path apart: it may have been replaced and loaded again.
    pub(super) device: String,
    pub(super) inode: u64,
    pub(super) is_executable: bool,
    /// Its executable mappings.
    pub(super) mappings: Vec<Mapping>,
    pub(super) opened: Option<Opened>,
    /// What is opened was found to be what is loaded, since it was last read what is loaded.
    pub(super) is_checked: bool,
    /// A user asked for something in it by its name.
    pub(super) was_named: bool,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) binary: Arc<Binary>,
    /// `None` where it is no file.
    pub(super) stamp: Option<Stamp>,
}

/// What tells two files of one inode apart: another may be written into it, or get its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Stamp> {
        let metadata = file.metadata()?;
        Ok(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl Module {
    /// One of which no mapping is known yet.
    fn new(mapping: &Mapping, executable: Option<&Executable>) -> Module {
        Module {
            is_executable: executable.is_some_and(|exe| exe.path == mapping.path),
            path: mapping.path.clone(),
            device: mapping.device.clone(),
            inode: mapping.inode,
            mappings: Vec::new(),
            opened: None,
            is_checked: false,
            was_named: false,
        }
    }

    pub(super) fn is_same_file(&self, other: &Module) -> bool {
        (&self.path, &self.device, self.inode) == (&other.path, &other.device, other.inode)
    }

    pub(super) fn is_called(&self, suffix: &str) -> bool {
        is_called(&self.path, suffix)
    }

    pub(super) fn is_vdso(&self) -> bool {
        self.path == VDSO
    }

    pub(super) fn read(&self, pid: u32) -> Result<Opened, ModuleError> {
        let name = Path::new(&self.path);
        let asking = match self.is_executable || self.was_named {
            true => Asking::Servers,
            false => Asking::CacheOnly,
        };
        let files = debug_files::of_process(living_thread(pid), asking);
        if self.is_vdso() {
            let binary = Binary::from_bytes(self.memory(pid)?, name, &files)?;
            return Ok(Opened {
                binary: Arc::new(binary),
                stamp: None,
            });
        }
        let file = self.open(pid)?;
        let stamp = Stamp::of(&file).map_err(|error| self.cannot_open(pid, error.into()))?;
        let binary = indexed(Binary::open_with(file, name, &files)?);
        Ok(Opened {
            binary: Arc::new(binary),
            stamp: Some(stamp),
        })
    }

    /// What cannot be opened any more is as it was: a file that was removed is still mapped.
    pub(super) fn close_if_changed(&mut self, pid: u32) {
        let Some(stamp) = self.opened.as_ref().and_then(|opened| opened.stamp) else {
            return;
        };
        let now = self.open(pid).ok().and_then(|file| Stamp::of(&file).ok());
        if now.is_some_and(|now| now != stamp) {
            self.opened = None;
        }
    }

    /// The bytes of a module that is in no file.
    fn memory(&self, pid: u32) -> Result<Vec<u8>, ModuleError> {
        const MOST: u64 = 1 << 20;
        let mapping = self.mappings.first();
        let (start, len) = mapping.map_or((0, 0), |mapping| (mapping.start, mapping.len()));
        let mut bytes = vec![0; usize::try_from(len.min(MOST)).unwrap_or(0)];
        File::open(format!("/proc/{}/mem", living_thread(pid)))
            .and_then(|memory| memory.read_exact_at(&mut bytes, start))
            .map_err(|error| self.cannot_open(pid, error.into()))?;
        Ok(bytes)
    }

    fn open(&self, pid: u32) -> Result<File, ModuleError> {
        if self.is_executable {
            // The kernel's own link to the file that runs: right for deleted and replaced ones.
            let name = format!("/proc/{}/exe", living_thread(pid));
            return open_regular(Path::new(&name)).map_err(|error| self.cannot_open(pid, error));
        }
        if let Some(mapping) = self.mappings.first() {
            let name = format!(
                "/proc/{}/map_files/{:x}-{:x}",
                living_thread(pid),
                mapping.start,
                mapping.end
            );
            // Following these links needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN (proc(5)).
            if let Ok(file) = open_regular(Path::new(&name)) {
                return Ok(file);
            }
        }
        // The path as the target's mount namespace has it.
        let file = Root::of_process(living_thread(pid))
            .map_err(OpenError::Io)
            .and_then(|root| root.open(Path::new(&self.path)))
            .map_err(|error| self.cannot_open(pid, error))?;
        let metadata = file
            .metadata()
            .map_err(|error| self.cannot_open(pid, error.into()))?;
        // Overlay file systems give another device number there than in maps, but this inode.
        if metadata.ino() != self.inode {
            return Err(ModuleError::Replaced {
                pid,
                path: self.path.clone(),
            });
        }
        Ok(file)
    }

    fn cannot_open(&self, pid: u32, error: OpenError) -> ModuleError {
        let path = self.path.clone();
        match error {
            OpenError::Io(source) => ModuleError::Open { pid, path, source },
            why => ModuleError::NotRead { path, why },
        }
    }
}

/// Each file with executable mappings once, in the order of addresses.
pub(super) fn grouped(mappings: Vec<Mapping>, executable: Option<&Executable>) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for mapping in mappings {
        let is_file = mapping.inode != 0 && mapping.path.starts_with('/');
        if !mapping.executable || !is_file && mapping.path != VDSO {
            continue;
        }
        let module = Module::new(&mapping, executable);
        let known = modules.iter().position(|known| known.is_same_file(&module));
        let index = known.unwrap_or_else(|| {
            modules.push(module);
            modules.len() - 1
        });
        modules[index].mappings.push(mapping);
    }
    modules
}
