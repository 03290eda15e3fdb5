//! Which files a process had loaded when its core was written, and where (core(5), elf(5)).
//!
//! A core is as hostile as any other file: what it counts is bounded by what it has, and nothing
//! of it is held but names and addresses.

use std::fs::File;
use std::path::{Path, PathBuf};

use lr_dwarf::{Binary, OpenError, Root, open_regular};
use lr_protocol::Problem;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};
use object::{LittleEndian as Endian, ReadCache, ReadRef};

use super::file::not_opened;
use crate::debug_files;
use crate::indexed::indexed;
use crate::maps::Mapping;
use crate::modules::ModuleError;
use crate::problem::problem;

/// The most program headers: the kernel allows a process 65,530 mappings unless told otherwise.
const MAX_SEGMENTS: usize = 1 << 20;
/// The most bytes of notes: each thread has about 3 KiB of them.
const MAX_NOTES: u64 = 256 << 20;
/// How much of a module is read to find its build-id. Linkers put it into the first page.
const MAX_HEADER: u64 = 64 << 10;

/// What is taken from a core.
#[derive(Debug)]
pub(crate) struct Core {
    path: PathBuf,
    mappings: Vec<Mapping>,
    /// The path of the program's own file.
    executable: String,
    /// Path and build-id, of the modules whose first page is in the core.
    build_ids: Vec<(String, Vec<u8>)>,
}

/// Why a core cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoreError {
    #[error("cannot open {}: {error}", path.display())]
    Open { path: PathBuf, error: OpenError },
    #[error("{} is not the core of a process of x86-64: {why}", path.display())]
    NotACore { path: PathBuf, why: &'static str },
}

impl CoreError {
    pub(crate) fn to_problem(&self) -> Problem {
        match self {
            CoreError::Open { path, error } => not_opened(path, error),
            CoreError::NotACore { .. } => problem(
                "bad_core",
                self.to_string(),
                "",
                &["`gcore PID` and the kernel write such files; coredumpctl unpacks its own"],
            ),
        }
    }
}

impl Core {
    pub(crate) fn read(path: &Path) -> Result<Core, CoreError> {
        let file = open_regular(path).map_err(|error| CoreError::Open {
            path: path.to_owned(),
            error,
        })?;
        Core::of(file, path).map_err(|why| CoreError::NotACore {
            path: path.to_owned(),
            why,
        })
    }

    fn of(file: File, path: &Path) -> Result<Core, &'static str> {
        let cache = ReadCache::new(file);
        let segments = segments(&cache)?;
        let mut files = None;
        let mut entry = None;
        for notes in segments.iter().filter(|s| s.p_type(Endian) == elf::PT_NOTE) {
            if notes.p_filesz(Endian) > MAX_NOTES {
                return Err("its notes are too long");
            }
            let Ok(Some(mut notes)) = notes.notes(Endian, &cache) else {
                continue;
            };
            while let Ok(Some(note)) = notes.next() {
                match note.n_type(Endian) {
                    elf::NT_FILE if note.name() == elf::ELF_NOTE_CORE => {
                        files = files.or_else(|| parse_files(note.desc()));
                    }
                    elf::NT_AUXV if note.name() == elf::ELF_NOTE_CORE => {
                        entry = entry.or_else(|| entry_of(note.desc()));
                    }
                    _ => {}
                }
            }
        }
        let files = files.ok_or("it has no list of files (NT_FILE)")?;
        let mut mappings: Vec<Mapping> = Vec::with_capacity(files.len());
        for file in files {
            mappings.push(mapping(file, &segments));
        }
        let holds = |mapping: &&Mapping| {
            entry.is_some_and(|entry| (mapping.start..mapping.end).contains(&entry))
        };
        let executable = mappings.iter().find(holds).or(mappings.first());
        let executable = executable.ok_or("its list of files is empty")?.path.clone();
        let mut build_ids: Vec<(String, Vec<u8>)> = Vec::new();
        for mapping in mappings.iter().filter(|mapping| mapping.offset == 0) {
            if build_ids.iter().all(|(path, _)| *path != mapping.path)
                && let Some(id) = build_id(&cache, &segments, mapping.start)
            {
                build_ids.push((mapping.path.clone(), id));
            }
        }
        Ok(Core {
            path: path.to_owned(),
            mappings,
            executable,
            build_ids,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    pub(crate) fn executable(&self) -> &str {
        &self.executable
    }

    /// The file of a module as it lies on this machine, if it is the one that the process ran.
    pub(crate) fn open(&self, module: &str) -> Result<Binary, ModuleError> {
        let file = Root::host()
            .map_err(OpenError::Io)
            .and_then(|root| root.open(Path::new(module)))
            .map_err(|error| ModuleError::NotHere {
                path: module.to_owned(),
                core: self.path.display().to_string(),
                error,
            })?;
        let binary = Binary::open_with(file, Path::new(module), &debug_files::of_host())?;
        let wanted = self.build_ids.iter().find(|(path, _)| path == module);
        if let Some((_, wanted)) = wanted
            && binary.build_id() != Some(wanted)
        {
            return Err(ModuleError::OtherBuild {
                path: module.to_owned(),
                found: hexadecimal(binary.build_id().unwrap_or_default()),
                wanted: hexadecimal(wanted),
            });
        }
        Ok(indexed(binary))
    }
}

fn segments(cache: &ReadCache<File>) -> Result<Vec<ProgramHeader64<Endian>>, &'static str> {
    let header = FileHeader64::<Endian>::parse(cache).map_err(|_| "it is not an ELF file")?;
    if header.e_type(Endian) != elf::ET_CORE {
        return Err("it is another kind of ELF file");
    }
    if header.e_machine(Endian) != elf::EM_X86_64 || !header.is_little_endian() {
        return Err("it is of another machine");
    }
    let count = header
        .phnum(Endian, cache)
        .map_err(|_| "its headers are damaged")?;
    if usize::try_from(count).is_ok_and(|count| count > MAX_SEGMENTS) {
        return Err("it has too many segments");
    }
    let segments = header
        .program_headers(Endian, cache)
        .map_err(|_| "its headers are damaged")?;
    Ok(segments.to_vec())
}

/// A part of a file in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
struct FilePart {
    start: u64,
    end: u64,
    /// In bytes.
    offset: u64,
    path: String,
}

/// `NT_FILE`: how many, the size of a page, `start, end, offset in pages` of each, then the paths
/// (the kernel's `fill_files_note`).
fn parse_files(desc: &[u8]) -> Option<Vec<FilePart>> {
    let count = usize::try_from(word(desc, 0)?).ok()?;
    let page = word(desc, 1)?;
    let paths = count.checked_mul(24)?.checked_add(16)?;
    let mut names = desc.get(paths..)?.split(|&byte| byte == 0);
    let mut parts = Vec::new();
    for index in 0..count {
        let at = |column: usize| word(desc, 2 + index * 3 + column);
        let part = FilePart {
            start: at(0)?,
            end: at(1)?,
            offset: at(2)?.checked_mul(page)?,
            path: String::from_utf8_lossy(names.next()?).into_owned(),
        };
        if part.start < part.end {
            parts.push(part);
        }
    }
    Some(parts)
}

/// `AT_ENTRY` of the auxiliary vector: an address in the program itself.
fn entry_of(desc: &[u8]) -> Option<u64> {
    const AT_ENTRY: u64 = 9;
    let pairs =
        (0..desc.len() / 16).filter_map(|at| Some((word(desc, at * 2)?, word(desc, at * 2 + 1)?)));
    let mut entries = pairs.filter(|(key, _)| *key == AT_ENTRY);
    entries.next().map(|(_, value)| value)
}

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    let at = index.checked_mul(8)?;
    let word = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

fn mapping(part: FilePart, segments: &[ProgramHeader64<Endian>]) -> Mapping {
    let loaded = |segment: &&ProgramHeader64<Endian>| {
        let begin = segment.p_vaddr(Endian);
        let end = begin.saturating_add(segment.p_memsz(Endian));
        segment.p_type(Endian) == elf::PT_LOAD && begin <= part.start && part.start < end
    };
    // gdb leaves out what it did not write: then the file has to tell where its code is.
    let flags = segments
        .iter()
        .find(loaded)
        .map(|segment| segment.p_flags(Endian));
    let has = |flag: elf::ProgramFlags, unknown: bool| {
        flags.map_or(unknown, |flags| flags.contains(flag))
    };
    Mapping {
        start: part.start,
        end: part.end,
        executable: has(elf::PF_X, true),
        writable: has(elf::PF_W, false),
        // Cores do not tell.
        private: true,
        offset: part.offset,
        device: String::new(),
        inode: 1,
        path: part.path,
    }
}

/// The build-id in a module's first bytes, where the core has them.
fn build_id(
    cache: &ReadCache<File>,
    segments: &[ProgramHeader64<Endian>],
    start: u64,
) -> Option<Vec<u8>> {
    let segment = segments.iter().find(|segment| {
        segment.p_type(Endian) == elf::PT_LOAD && segment.p_vaddr(Endian) == start
    })?;
    let len = segment.p_filesz(Endian).min(MAX_HEADER);
    let bytes = cache.read_bytes_at(segment.p_offset(Endian), len).ok()?;
    let header = FileHeader64::<Endian>::parse(bytes).ok()?;
    for notes in header.program_headers(Endian, bytes).ok()? {
        if notes.p_type(Endian) != elf::PT_NOTE {
            continue;
        }
        let Ok(Some(mut notes)) = notes.notes(Endian, bytes) else {
            continue;
        };
        if let Some(id) = gnu_build_id(&mut notes) {
            return Some(id);
        }
    }
    None
}

fn gnu_build_id(notes: &mut NoteIterator<'_, FileHeader64<Endian>>) -> Option<Vec<u8>> {
    while let Ok(Some(note)) = notes.next() {
        if note.name() == elf::ELF_NOTE_GNU && note.n_type(Endian) == elf::NT_GNU_BUILD_ID {
            return Some(note.desc().to_vec());
        }
    }
    None
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(count: u64, words: &[u64], names: &[u8]) -> Vec<u8> {
        let mut desc = Vec::new();
        for word in [count, 4096].iter().chain(words) {
            desc.extend_from_slice(&word.to_le_bytes());
        }
        desc.extend_from_slice(names);
        desc
    }

    #[test]
    fn the_list_of_files() {
        let desc = note(
            2,
            &[0x1000, 0x2000, 1, 0x7000, 0x9000, 0],
            b"/bin/a\0/lib/b c\0",
        );
        let parts = parse_files(&desc).unwrap();
        let part = |start, end, offset, path: &str| FilePart {
            start,
            end,
            offset,
            path: path.to_owned(),
        };
        assert_eq!(
            parts,
            [
                part(0x1000, 0x2000, 0x1000, "/bin/a"),
                part(0x7000, 0x9000, 0, "/lib/b c")
            ]
        );
    }

    #[test]
    fn a_list_that_counts_more_than_it_has_is_none() {
        for count in [2, 1 << 40, u64::MAX] {
            assert_eq!(parse_files(&note(count, &[1, 2, 3], b"/bin/a\0")), None);
        }
        let overflowing = note(1, &[1, 2, u64::MAX], b"/bin/a\0");
        assert_eq!(parse_files(&overflowing), None);
        assert_eq!(parse_files(&[]), None);
    }

    #[test]
    fn the_entry_among_others() {
        let mut desc = Vec::new();
        for word in [3u64, 64, 9, 0x1040, 0, 0] {
            desc.extend_from_slice(&word.to_le_bytes());
        }
        assert_eq!(entry_of(&desc), Some(0x1040));
        assert_eq!(entry_of(&desc[..16]), None);
        assert_eq!(entry_of(&desc[..24]), None);
    }
}
