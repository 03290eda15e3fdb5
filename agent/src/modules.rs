//! The executable and the shared objects of a process, as they are loaded.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lr_dwarf::{
    Binary, DebugInfo, FileAddr, LoadBias, LoadError, OpenError, Root, RuntimeAddr, open_regular,
};
use lr_tracer::TextRange;

use crate::debug_files::{self, Asking};
use crate::explain::Core;
use crate::host::living_thread;
use crate::indexed::indexed;
use crate::locate::file_name;
use crate::maps::{self, Mapping};

/// What a process has loaded. Files are opened when they are first asked for and kept.
#[derive(Debug)]
pub(crate) struct Modules {
    pid: u32,
    /// What is read instead of the process, where that is no more.
    core: Option<Core>,
    modules: Vec<Module>,
    generation: u64,
}

/// One file with code in the process.
#[derive(Debug)]
pub(crate) struct Module {
    path: String,
    /// Tells files of one path apart: it may have been replaced and loaded again.
    device: String,
    inode: u64,
    is_executable: bool,
    /// Its executable mappings.
    mappings: Vec<Mapping>,
    opened: Option<Opened>,
    /// What is opened was found to be what is loaded, since it was last read what is loaded.
    is_checked: bool,
    /// A user asked for something in it by its name.
    was_named: bool,
}

/// A file that was read.
#[derive(Clone, Debug)]
struct Opened {
    binary: Arc<Binary>,
    /// `None` where it is no file.
    stamp: Option<Stamp>,
}

/// What tells two files of one inode apart: another may be written into it, or get its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
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

/// A module's file, and what the loader added to its addresses.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) binary: Arc<Binary>,
    pub(crate) bias: LoadBias,
    pub(crate) path: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleError {
    #[error("cannot read the mappings of process {pid}: {source}")]
    Maps { pid: u32, source: io::Error },
    #[error("cannot open {path} as process {pid} sees it: {source}")]
    Open {
        pid: u32,
        path: String,
        source: io::Error,
    },
    #[error("{path} was replaced since process {pid} loaded it")]
    Replaced { pid: u32, path: String },
    #[error("{path} is not read: {why}")]
    NotRead { path: String, why: OpenError },
    #[error("none of the code of {path} is mapped")]
    NotMapped { path: String },
    #[error("cannot open {path}, which {core} names: {error}")]
    NotHere {
        path: String,
        core: String,
        error: OpenError,
    },
    #[error("{path} is another build: its build-id is {found}, the process ran {wanted}")]
    OtherBuild {
        path: String,
        found: String,
        wanted: String,
    },
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl ModuleError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            ModuleError::Maps { source, .. } | ModuleError::Open { source, .. } => {
                match source.kind() {
                    io::ErrorKind::PermissionDenied => "permission_denied",
                    io::ErrorKind::NotFound => "process_gone",
                    _ => "unreadable_file",
                }
            }
            ModuleError::Replaced { .. }
            | ModuleError::NotRead { .. }
            | ModuleError::NotHere { .. } => "unreadable_file",
            ModuleError::OtherBuild { .. } => "other_build",
            ModuleError::NotMapped { .. } => "bad_elf",
            ModuleError::Load(error) => error.code(),
        }
    }

    pub(crate) fn suggestions(&self) -> Vec<String> {
        match self {
            ModuleError::Replaced { .. } => {
                vec!["restart the process, so that it runs the file that is there now".to_owned()]
            }
            ModuleError::OtherBuild { .. } | ModuleError::NotHere { .. } => {
                vec!["put the file there that the process ran: its build-id tells which".to_owned()]
            }
            ModuleError::Load(error) => error.suggestions(),
            _ => Vec::new(),
        }
    }
}

impl Modules {
    /// Reads what is loaded and opens the executable.
    pub(crate) fn open(pid: u32) -> Result<Modules, ModuleError> {
        let mut modules = Modules {
            pid,
            core: None,
            modules: Vec::new(),
            generation: 0,
        };
        modules.refresh()?;
        modules.executable()?;
        Ok(modules)
    }

    /// What a process had loaded when its core was written, with its executable opened.
    pub(crate) fn of_core(core: Core) -> Result<Modules, ModuleError> {
        let executable = Executable {
            path: core.executable().to_owned(),
            inode: 0,
        };
        let mut modules = Modules {
            pid: 0,
            modules: grouped(core.mappings().to_vec(), Some(&executable)),
            core: Some(core),
            generation: 0,
        };
        modules.executable()?;
        Ok(modules)
    }

    /// Whose modules they are, in words.
    pub(crate) fn holder(&self) -> String {
        match &self.core {
            None => format!("process {}", self.pid),
            Some(core) => format!("the process of {}", core.path().display()),
        }
    }

    /// Reads again what is loaded. Files that are still there stay open.
    pub(crate) fn refresh(&mut self) -> Result<(), ModuleError> {
        if self.core.is_some() {
            return Ok(());
        }
        let pid = self.pid;
        let mappings = maps::read(pid).map_err(|source| ModuleError::Maps { pid, source })?;
        let executable = executable_of(pid, &mappings);
        let mut found = grouped(mappings, executable.as_ref());
        for module in &mut found {
            let old = self.modules.iter().find(|old| old.is_same_file(module));
            if let Some(old) = old {
                module.opened = old.opened.clone();
                module.was_named = old.was_named;
            }
        }
        let is_same =
            |(old, new): (&Module, &Module)| old.is_same_file(new) && old.mappings == new.mappings;
        let mut pairs = self.modules.iter().zip(&found);
        if self.modules.len() != found.len() || !pairs.all(is_same) {
            self.generation += 1;
        }
        self.modules = found;
        Ok(())
    }

    /// Another number for each change of what is loaded that was noticed.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn executable_index(&self) -> Result<usize, ModuleError> {
        let not_mapped = || ModuleError::NotMapped {
            path: format!("/proc/{}/exe", self.pid),
        };
        let index = self.modules.iter().position(|module| module.is_executable);
        index.ok_or_else(not_mapped)
    }

    pub(crate) fn executable(&mut self) -> Result<Loaded, ModuleError> {
        let index = self.executable_index()?;
        let copies = self.load(index)?;
        Ok(copies
            .into_iter()
            .next()
            .expect("a loaded module has a copy"))
    }

    /// The shared objects, in the order of their addresses. Not the vDSO, in which nothing can be
    /// planted: it has to be named.
    pub(crate) fn libraries(&self) -> Vec<usize> {
        let is_library = |module: &Module| !module.is_executable && !module.is_vdso();
        (0..self.modules.len())
            .filter(|&index| is_library(&self.modules[index]))
            .collect()
    }

    /// Every module of this name, the executable included.
    /// For those, servers are asked for debug info too.
    pub(crate) fn named(&mut self, suffix: &str) -> Vec<usize> {
        let mut named = Vec::new();
        for (index, module) in self.modules.iter_mut().enumerate() {
            if !module.is_called(suffix) {
                continue;
            }
            named.push(index);
            let is_without =
                |opened: &Opened| matches!(opened.binary.debug_info(), DebugInfo::Missing { .. });
            if !module.was_named && module.opened.as_ref().is_some_and(is_without) {
                module.opened = None;
            }
            module.was_named = true;
        }
        named
    }

    /// The module with this address of the target in its code.
    pub(crate) fn at(&self, address: u64) -> Option<usize> {
        self.modules.iter().position(|module| {
            let holds = |mapping: &Mapping| (mapping.start..mapping.end).contains(&address);
            module.mappings.iter().any(holds)
        })
    }

    /// Whether code at an address of the target is private to it.
    pub(crate) fn is_private_text(&self, address: RuntimeAddr) -> bool {
        let mappings = self.modules.iter().flat_map(|module| &module.mappings);
        mappings
            .filter(|mapping| (mapping.start..mapping.end).contains(&address.0))
            .any(Mapping::is_private_text)
    }

    pub(crate) fn paths(&self) -> Vec<&str> {
        self.modules
            .iter()
            .map(|module| module.path.as_str())
            .collect()
    }

    /// A module's file, opened now if it has not been, once for each bias that it is loaded with:
    /// `dlmopen` loads a library again. There is at least one.
    pub(crate) fn load(&mut self, index: usize) -> Result<Vec<Loaded>, ModuleError> {
        let pid = self.pid;
        let module = &mut self.modules[index];
        if self.core.is_none() && !std::mem::replace(&mut module.is_checked, true) {
            module.close_if_changed(pid);
        }
        let opened = match module.opened.take() {
            Some(opened) => opened,
            None => match &self.core {
                Some(core) => Opened {
                    binary: Arc::new(core.open(&module.path)?),
                    stamp: None,
                },
                None => module.read(pid)?,
            },
        };
        let binary = Arc::clone(&module.opened.insert(opened).binary);
        let mut copies: Vec<Loaded> = Vec::new();
        for mapping in &module.mappings {
            match binary.load_bias(&mapping.part()) {
                Some(bias) if copies.iter().all(|copy| copy.bias != bias) => copies.push(Loaded {
                    binary: Arc::clone(&binary),
                    bias,
                    path: module.path.clone(),
                }),
                _ => {}
            }
        }
        match copies.is_empty() {
            true => Err(ModuleError::NotMapped {
                path: module.path.clone(),
            }),
            false => Ok(copies),
        }
    }

    /// Modules that are never unloaded, in whose code a twin of any instruction may lie: the
    /// executable and the C library.
    pub(crate) fn twin_sources(&mut self) -> Result<Vec<Loaded>, ModuleError> {
        let mut sources = vec![self.executable()?];
        if let Some(index) = self.c_library() {
            // `dlmopen` loads another copy, which may be unloaded: which is the first is not known.
            if let [only] = self.load(index).unwrap_or_default().as_slice() {
                sources.push(only.clone());
            }
        }
        Ok(sources)
    }

    /// Where twins of a module's instructions may lie: in this copy of it, which is there as long
    /// as a thread can be in it, and in what is never unloaded.
    pub(crate) fn twin_texts<'a>(
        &self,
        loaded: &'a Loaded,
        sources: &'a [Loaded],
    ) -> Vec<TextRange<'a>> {
        let mut texts = self.text_of(loaded);
        for source in sources {
            if source.path != loaded.path {
                texts.extend(self.text_of(source));
            }
        }
        texts
    }

    /// Where the code of an opened module is: the file's bytes under the target's addresses.
    pub(crate) fn text_of<'a>(&self, loaded: &'a Loaded) -> Vec<TextRange<'a>> {
        let mut text = Vec::new();
        for module in self
            .modules
            .iter()
            .filter(|module| module.path == loaded.path)
        {
            for mapping in module.mappings.iter().filter(|m| m.is_private_text()) {
                text.extend(text_in(mapping, loaded));
            }
        }
        text
    }

    /// The C library, where the target has one: it is large, and so rich in instructions.
    pub(crate) fn c_library(&self) -> Option<usize> {
        self.modules.iter().position(|module| {
            let file = module.path.rsplit('/').next().unwrap_or_default();
            is_c_library(file)
        })
    }
}

impl Module {
    fn is_same_file(&self, other: &Module) -> bool {
        (&self.path, &self.device, self.inode) == (&other.path, &other.device, other.inode)
    }

    fn is_called(&self, suffix: &str) -> bool {
        is_called(&self.path, suffix)
    }

    fn is_vdso(&self) -> bool {
        self.path == VDSO
    }

    fn read(&self, pid: u32) -> Result<Opened, ModuleError> {
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
    fn close_if_changed(&mut self, pid: u32) {
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

/// Whether these are the last components of a path. Of a library the version behind `.so` may be
/// left out, and all behind the first dot, as of `_json.cpython-311-x86_64-linux-gnu.so`.
pub(crate) fn is_called(path: &str, suffix: &str) -> bool {
    if suffix.is_empty() {
        return false;
    }
    let path = path.strip_suffix(DELETED).unwrap_or(path);
    let ends = |path: &str| {
        path.strip_suffix(suffix)
            .is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    let unversioned = path
        .find(".so.")
        .map_or(path, |at| &path[..at + ".so".len()]);
    let stem = file_name(unversioned).split_once('.').map(|(stem, _)| stem);
    let is_library = unversioned.ends_with(".so");
    ends(path)
        || ends(unversioned)
        || ends(unversioned.trim_end_matches(".so"))
        || is_library && stem == Some(suffix)
}

impl Loaded {
    /// The last component of its path.
    pub(crate) fn name(&self) -> &str {
        file_name(&self.path)
    }
}

/// glibc's `libc.so.6`, `libc-2.31.so` of earlier ones, and musl's. Not `libc-client.so`, which a
/// program may load and unload.
fn is_c_library(file: &str) -> bool {
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    file == "libc.so"
        || file.strip_prefix("libc.so.").is_some_and(is_version)
        || file.strip_prefix("libc-").is_some_and(is_version)
        || file.starts_with("ld-musl-")
}

/// What the kernel maps into every process (vdso(7)); it has no file.
const VDSO: &str = "[vdso]";
const DELETED: &str = " (deleted)";

/// What `/proc/pid/exe` says of the file, to find its mappings by.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Executable {
    path: String,
    inode: u64,
}

fn executable_of(pid: u32, mappings: &[Mapping]) -> Option<Executable> {
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

/// Each file with executable mappings once, in the order of addresses.
fn grouped(mappings: Vec<Mapping>, executable: Option<&Executable>) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for mapping in mappings {
        let is_file = mapping.inode != 0 && mapping.path.starts_with('/');
        if !mapping.executable || !is_file && mapping.path != VDSO {
            continue;
        }
        let module = Module {
            is_executable: executable.is_some_and(|exe| exe.path == mapping.path),
            path: mapping.path.clone(),
            device: mapping.device.clone(),
            inode: mapping.inode,
            mappings: Vec::new(),
            opened: None,
            is_checked: false,
            was_named: false,
        };
        let known = modules.iter().position(|known| known.is_same_file(&module));
        let index = known.unwrap_or_else(|| {
            modules.push(module);
            modules.len() - 1
        });
        modules[index].mappings.push(mapping);
    }
    modules
}

/// What of a mapping the file's executable segments have bytes for.
fn text_in<'a>(mapping: &Mapping, loaded: &'a Loaded) -> Option<TextRange<'a>> {
    loaded.binary.segments().iter().find_map(|segment| {
        let start = segment.addr.in_target(loaded.bias).0;
        let end = start.checked_add(segment.len)?;
        let (from, to) = (start.max(mapping.start), end.min(mapping.end));
        if from >= to {
            return None;
        }
        let skip = FileAddr(segment.addr.0.wrapping_add(from - start));
        let bytes = loaded
            .binary
            .bytes_at(skip, usize::try_from(to - from).ok()?)?;
        Some(TextRange { start: from, bytes })
    })
}

#[cfg(test)]
mod tests {
    use lr_dwarf::Location;

    use super::*;

    fn mapping(start: u64, len: u64, offset: u64) -> Mapping {
        Mapping {
            start,
            end: start + len,
            executable: true,
            writable: false,
            private: true,
            offset,
            device: "fe:01".to_owned(),
            inode: 7,
            path: "/srv/orders".to_owned(),
        }
    }

    #[test]
    fn modules_are_called_by_the_end_of_their_path() {
        let called = |path: &str, suffix: &str| {
            let mut mapping = mapping(0x1000, 0x1000, 0);
            path.clone_into(&mut mapping.path);
            grouped(vec![mapping], None)[0].is_called(suffix)
        };
        assert!(called("/usr/lib/libpq.so.5.15", "libpq.so.5.15"));
        assert!(called("/usr/lib/libpq.so.5.15", "libpq.so"));
        assert!(called("/usr/lib/libpq.so.5.15", "libpq"));
        assert!(called("/usr/lib/libpq.so.5.15", "lib/libpq.so"));
        assert!(called("/srv/orders (deleted)", "orders"));
        assert!(called("/x/_json.cpython-311-x86_64-linux-gnu.so", "_json"));
        assert!(!called("/x/.so", ""));
        assert!(!called("/x/orders.v2", "orders"));
        assert!(!called("/usr/lib/libpq.so.5.15", "pq.so"));
        assert!(!called("/usr/lib/libpq.so.5.15", "libp"));
    }

    #[test]
    fn only_the_c_library_itself_is_taken_for_it() {
        for file in [
            "libc.so.6",
            "libc-2.31.so",
            "ld-musl-x86_64.so.1",
            "libc.so",
        ] {
            assert!(is_c_library(file), "{file}");
        }
        for file in ["libc-client.so.2007e", "libc.so.conf", "libcap.so.2", ""] {
            assert!(!is_c_library(file), "{file}");
        }
    }

    #[test]
    fn this_process_has_its_executable_and_libraries() {
        let mut modules = Modules::open(std::process::id()).unwrap();
        let loaded = modules.executable().unwrap();
        assert_eq!(Path::new(&loaded.path), std::env::current_exe().unwrap());
        // A function of ours lies where the bias says.
        let address = grouped as fn(_, _) -> _ as usize as u64;
        let at = modules.at(address).unwrap();
        assert_eq!(modules.load(at).unwrap()[0].path, loaded.path);
        let text = modules.text_of(&loaded);
        assert!(
            text.iter()
                .any(|text| (text.start..text.start + text.bytes.len() as u64).contains(&address))
        );
        let vdso = modules.named(VDSO)[0];
        assert!(!modules.libraries().contains(&vdso));
        let vdso = modules.load(vdso).unwrap().remove(0);
        let name = Location::parse("__vdso_clock_gettime").unwrap();
        assert_eq!(vdso.binary.resolve(&name).unwrap().len(), 1);
        let libc = modules.c_library().unwrap();
        let libc = modules.load(libc).unwrap().remove(0);
        assert!(libc.path.contains("libc"));
        assert!(!modules.named("libc.so.6").is_empty());
        modules.refresh().unwrap();
        assert!(Arc::ptr_eq(
            &modules.executable().unwrap().binary,
            &loaded.binary
        ));
    }
}
