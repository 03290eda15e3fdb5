use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lr_probe::Memory;
use object::{Object, ObjectSegment};

use super::build_id::build_id;
use super::file::Core;
use super::memory::CoreMemory;
use super::notes::MappedFile;
use crate::address::LoadBias;
use crate::binary::Binary;
use crate::find::{DebugFiles, hexadecimal};
use crate::image::MappedPart;
use crate::loader::{OpenError, Root, open_regular};
use crate::target::Module;

/// `AT_ENTRY`, `AT_EXECFN` and `AT_SYSINFO_EHDR` of the auxiliary vector (getauxval(3)).
const AT_ENTRY: u64 = 9;
const AT_EXECFN: u64 = 31;
const AT_SYSINFO_EHDR: u64 = 33;
const PAGE: u64 = 4096;
/// Bytes of a path, with its NUL (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// How often one library may be loaded; glibc has room for 16 namespaces.
const MAX_COPIES: usize = 16;
/// The vDSO has two pages, and some day a few more.
const MAX_VDSO: u64 = 64 << 10;

/// The programs and libraries of a core, as this machine has them.
#[derive(Debug, Default)]
pub struct CoreModules {
    /// The program first, where it is there.
    pub modules: Vec<Module>,
    pub missing: Vec<MissingModule>,
    /// Files of which the core does not tell whether they are those that the process ran: their
    /// first page, with the build-id, was left out.
    pub unverified: Vec<PathBuf>,
}

/// A file of a core that cannot be used, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingModule {
    pub path: PathBuf,
    pub why: String,
    /// Where it was mapped.
    pub ranges: Vec<Range<u64>>,
}

impl CoreModules {
    /// Opens what was mapped. `executable` stands in for the program's own file.
    pub fn open(core: &Core, executable: Option<&Path>, debug_files: &DebugFiles) -> CoreModules {
        let mut found = CoreModules::default();
        let entry = core.auxiliary(AT_ENTRY);
        let listed = core.files();
        let own = match listed {
            [] => program_alone(core, executable).unwrap_or_default(),
            _ => Vec::new(),
        };
        let files = match listed {
            [] => {
                let what = match own.is_empty() {
                    true => "any program or library",
                    false => "any library",
                };
                found.missing.push(MissingModule {
                    path: PathBuf::from(what),
                    why: "the core does not list the files that were mapped (NT_FILE)".to_owned(),
                    ranges: Vec::new(),
                });
                own.as_slice()
            }
            listed => listed,
        };
        for (index, file) in files.iter().enumerate() {
            let seen = files[..index].iter().any(|other| other.path == file.path);
            if seen {
                continue;
            }
            let mut parts = files.iter().filter(|other| other.path == file.path);
            let is_program =
                parts.any(|part| entry.is_some_and(|at| part.start <= at && at < part.end));
            let stand_in = executable.filter(|_| is_program);
            let parts: Vec<MappedPart> = files
                .iter()
                .filter(|other| other.path == file.path)
                .map(|part| mapped_part(core, part))
                .collect();
            match open(core, &file.path, stand_in, &parts, debug_files) {
                Ok(Some(opened)) => {
                    if !opened.is_known {
                        found.unverified.push(file.path.clone());
                    }
                    // Thread-local variables of the program are found otherwise than those of
                    // libraries.
                    let at = if is_program { 0 } else { found.modules.len() };
                    found.modules.splice(at..at, opened.modules);
                }
                Ok(None) => {}
                Err(why) => found.missing.push(MissingModule {
                    path: file.path.clone(),
                    why,
                    ranges: parts.iter().map(|part| part.start..part.end).collect(),
                }),
            }
        }
        found.modules.extend(vdso(core));
        found
    }
}

/// Where the program lies, of a core that does not list files: by its entry.
fn program_alone(core: &Core, executable: Option<&Path>) -> Option<Vec<MappedFile>> {
    let path = match executable {
        Some(path) => path.to_owned(),
        None => {
            let text = core.at(core.auxiliary(AT_EXECFN)?)?;
            let text = &text[..text.len().min(MAX_PATH)];
            let text = text.split(|&byte| byte == 0).next()?;
            Path::new(OsStr::from_bytes(text)).to_owned()
        }
    };
    // Relative to what, nobody knows.
    if executable.is_none() && !path.is_absolute() {
        return None;
    }
    let file = open_regular(&path).ok()?;
    let binary = Binary::open_with(file, &path, &DebugFiles::none()).ok()?;
    let elf = binary.image.elf()?;
    let bias = core.auxiliary(AT_ENTRY)?.wrapping_sub(elf.entry());
    let mut parts = Vec::new();
    for segment in elf.segments() {
        let (offset, len) = segment.file_range();
        let start = segment.address().wrapping_add(bias);
        let end = start.checked_add(len)?.checked_next_multiple_of(PAGE)?;
        parts.push(MappedFile {
            start: start - start % PAGE,
            end,
            offset: offset - offset % PAGE,
            path: path.clone(),
        });
    }
    // Nothing else says that it lies there than its header, which is looked at by whoever opens it.
    let first = parts.iter().find(|part| part.offset == 0)?;
    let header = core.at(first.start)?;
    header.starts_with(b"\x7fELF").then_some(parts)
}

fn mapped_part(core: &Core, file: &MappedFile) -> MappedPart {
    let permissions = core.permissions_at(file.start);
    MappedPart {
        start: file.start,
        end: file.end,
        offset: file.offset,
        executable: permissions.map(|allowed| allowed.executable),
    }
}

/// A file that was opened.
struct Opened {
    /// One for each time that it was loaded: `dlmopen` loads a library again.
    modules: Vec<Module>,
    /// It is the one that the process ran.
    is_known: bool,
}

/// One file; `None` where it is no program or library but data that was mapped.
fn open(
    core: &Core,
    path: &Path,
    stand_in: Option<&Path>,
    parts: &[MappedPart],
    debug_files: &DebugFiles,
) -> Result<Option<Opened>, String> {
    let first = parts.iter().find(|part| part.offset == 0);
    let header = first.and_then(|part| core.at(part.start));
    if header.is_some_and(|header| !header.starts_with(b"\x7fELF")) {
        return Ok(None);
    }
    let name = stand_in.unwrap_or(path);
    let read = || {
        let file = match stand_in {
            Some(path) => open_regular(path),
            None => Root::host()
                .map_err(OpenError::Io)
                .and_then(|root| root.open(path)),
        };
        let file = file.map_err(|error| error.to_string())?;
        Binary::open_with(file, name, debug_files).map_err(|error| error.to_string())
    };
    let binary = match read() {
        Ok(binary) => binary,
        // Whether it is a program is not known: say so where the core has its header, or its code.
        Err(_) if header.is_none() && parts.iter().all(|part| part.executable != Some(true)) => {
            return Ok(None);
        }
        Err(why) => return Err(why),
    };
    let wanted = header.and_then(build_id);
    if let (None, Some(header)) = (wanted, header)
        && !begins_with(&binary, header)
    {
        return Err(format!(
            "{} begins with other bytes than what the process ran, which has no build-id",
            name.display()
        ));
    }
    if let Some(wanted) = wanted
        && binary.build_id() != Some(wanted)
    {
        let found = hexadecimal(binary.build_id().unwrap_or_default());
        return Err(format!(
            "{} has the build-id {found}, the process ran {}",
            name.display(),
            hexadecimal(wanted)
        ));
    }
    let is_known = wanted.is_some() || header.is_some();
    let mut modules = Vec::new();
    let mut left: Vec<MappedPart> = parts.to_vec();
    let mut next = Some(binary);
    while let Some(bias) = next.as_ref().and_then(|binary| bias_of(binary, &left)) {
        let Some(binary) = next.take() else { break };
        let is_own = |part: &&MappedPart| binary.image.is_at(part, bias);
        let own: Vec<MappedPart> = left.iter().filter(is_own).copied().collect();
        let others = left.len() - own.len();
        left.retain(|part| !own.contains(part));
        // Programs map their own files to read them, too.
        let may_run = |part: &MappedPart| part.executable != Some(false);
        if !modules.is_empty() && !own.iter().any(may_run) {
            next = Some(binary).filter(|_| !own.is_empty());
            continue;
        }
        modules.push(Module {
            path: path.to_owned(),
            binary: Arc::new(binary),
            bias,
            ranges: own.iter().map(|part| part.start..part.end).collect(),
        });
        if others > 0 && modules.len() < MAX_COPIES {
            next = read().ok();
        }
    }
    Ok((!modules.is_empty()).then_some(Opened { modules, is_known }))
}

/// Whether a file is the one that begins like this in memory, as far as its first page tells: nothing
/// writes to that. Where its sections are changes when it is stripped.
fn begins_with(binary: &Binary, header: &[u8]) -> bool {
    /// `e_shoff` to `e_shstrndx`, the rest of the header.
    const SECTIONS: Range<usize> = 40..64;
    let len = header.len().min(usize::try_from(PAGE).expect("small"));
    let Some(own) = binary.image.bytes_of(0..len) else {
        return false;
    };
    let (own, header) = (own.iter(), header.iter());
    let mut pairs = own.zip(header).enumerate();
    pairs.all(|(at, (own, other))| own == other || SECTIONS.contains(&at))
}

/// By the first part that tells: rather by one that is known to be code, since a page of the file
/// may be mapped for two segments.
fn bias_of(binary: &Binary, parts: &[MappedPart]) -> Option<LoadBias> {
    let code = parts.iter().filter(|part| part.executable == Some(true));
    let mut all = code.chain(parts);
    all.find_map(|part| binary.load_bias(part))
}

/// The code that the kernel maps into every process.
fn vdso(core: &Core) -> Option<Module> {
    let start = core.auxiliary(AT_SYSINFO_EHDR)?;
    let len = (core.at(start)?.len() as u64).min(MAX_VDSO);
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    CoreMemory::new(core, &[]).read(start, &mut bytes).ok()?;
    let path = PathBuf::from("[vdso]");
    let binary = Binary::from_bytes(bytes, &path, &DebugFiles::none()).ok()?;
    let range = start..start.checked_add(len)?;
    Some(Module {
        path,
        binary: Arc::new(binary),
        bias: LoadBias(start),
        ranges: [range].to_vec(),
    })
}
