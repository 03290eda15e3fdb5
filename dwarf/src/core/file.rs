use std::fs::File;
use std::path::{Path, PathBuf};

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

use super::build_id::build_id;
use super::notes::{MappedFile, Notes};
use crate::loader::{Mapped, OpenError, open_regular};
use crate::unwind::ThreadRegisters;

/// The most program headers: the kernel allows a process 65,530 mappings unless told otherwise.
const MAX_SEGMENTS: usize = 1 << 20;
/// The most segments with notes: all of them may be the same bytes. There is one.
const MAX_NOTES: usize = 16;

/// A core file. What is read of its memory is read when it is asked for.
#[derive(Debug)]
pub struct Core {
    path: PathBuf,
    map: Mapped,
    ranges: Vec<CoreRange>,
    /// Ascending by address.
    pub(super) segments: Vec<CoreSegment>,
    notes: Notes,
}

/// A thread of a core.
#[derive(Clone, PartialEq, Debug)]
pub struct CoreThread {
    pub tid: u32,
    pub registers: ThreadRegisters,
    /// What it was stopped or killed by.
    pub signal: Option<CoreSignal>,
}

/// A signal that a thread got (sigaction(2), `siginfo_t`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreSignal {
    pub number: i32,
    /// `si_code`, where the core has it.
    pub code: Option<i32>,
    /// What could not be accessed, or the instruction that failed.
    pub address: Option<u64>,
    /// The process that sent it.
    pub sender: Option<u32>,
}

/// What a process was allowed to do with a part of its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permissions {
    pub writable: bool,
    pub executable: bool,
}

/// A part of the process's memory, whether the core has its bytes or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct CoreRange {
    start: u64,
    end: u64,
    /// How many bytes of it the core should have.
    claimed: u64,
    permissions: Permissions,
}

/// A piece of memory that the core has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CoreSegment {
    pub(super) addr: u64,
    /// Offset in the core.
    pub(super) offset: usize,
    pub(super) len: u64,
}

/// Why a core cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    #[error("cannot open {}: {error}", path.display())]
    Open { path: PathBuf, error: OpenError },
    #[error("{} cannot be read as the core of a process of x86-64: {why}", path.display())]
    NotACore { path: PathBuf, why: &'static str },
    #[error("{} was cut short while it was read", path.display())]
    Changed { path: PathBuf },
}

impl Core {
    pub fn open(path: &Path) -> Result<Core, CoreError> {
        let not_opened = |error| CoreError::Open {
            path: path.to_owned(),
            error,
        };
        let file = open_regular(path).map_err(not_opened)?;
        Core::read(&file, path)
    }

    fn read(file: &File, path: &Path) -> Result<Core, CoreError> {
        let bad = |why| CoreError::NotACore {
            path: path.to_owned(),
            why,
        };
        if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            return Err(bad("it is empty"));
        }
        let map = Mapped::new(file).map_err(|error| CoreError::Open {
            path: path.to_owned(),
            error: OpenError::Io(error),
        })?;
        let (ranges, segments, notes) = parse(&map).map_err(bad)?;
        if map.is_torn() {
            return Err(CoreError::Changed {
                path: path.to_owned(),
            });
        }
        Ok(Core {
            path: path.to_owned(),
            map,
            ranges,
            segments,
            notes,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The thread that the process died of first; then in the order of the file.
    pub fn threads(&self) -> &[CoreThread] {
        &self.notes.threads
    }

    /// Parts of files that were mapped, in the order of the file.
    pub fn files(&self) -> &[MappedFile] {
        &self.notes.files
    }

    /// An entry of the auxiliary vector (getauxval(3)).
    pub fn auxiliary(&self, key: u64) -> Option<u64> {
        let entry = self.notes.auxiliary.iter().find(|entry| entry.0 == key);
        entry.map(|entry| entry.1)
    }

    /// Whether everything that was read so far was there.
    pub fn is_whole(&self) -> bool {
        !self.map.is_torn()
    }

    /// How memory was mapped; `None` where the core does not say. gdb leaves out what it did not
    /// write.
    pub fn permissions_at(&self, addr: u64) -> Option<Permissions> {
        let holds = |range: &&CoreRange| range.start <= addr && addr < range.end;
        self.ranges
            .iter()
            .find(holds)
            .map(|range| range.permissions)
    }

    /// How many bytes of memory are missing because the core was cut short.
    pub fn lost(&self) -> u64 {
        let sum = |bytes: u64, more: u64| bytes.saturating_add(more);
        let claimed = self.ranges.iter().map(|range| range.claimed).fold(0, sum);
        let there = self.segments.iter().map(|segment| segment.len).fold(0, sum);
        claimed.saturating_sub(there)
    }

    /// Whether an address belongs to what the core has, or would have if it had not been cut.
    pub(super) fn claims(&self, addr: u64) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|range| range.start <= addr && addr - range.start < range.claimed)
    }

    /// Whether memory that the process wrote to was kept at all: core(5) lets users leave out any
    /// kind of it.
    pub(super) fn has_written_memory(&self) -> bool {
        let mut threads = self.notes.threads.iter();
        threads.any(|thread| {
            let registers = &thread.registers;
            self.claims(registers.general[7]) || self.claims(registers.fs_base)
        })
    }

    /// The build-id of a file whose first bytes are at an address, where the core has them.
    pub fn build_id_at(&self, start: u64) -> Option<&[u8]> {
        build_id(self.at(start)?)
    }

    /// The bytes from an address to the end of what the core has there.
    pub(super) fn at(&self, addr: u64) -> Option<&[u8]> {
        let after = self
            .segments
            .partition_point(|segment| segment.addr <= addr);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        let skip = addr - segment.addr;
        if skip >= segment.len {
            return None;
        }
        let start = segment.offset.checked_add(usize::try_from(skip).ok()?)?;
        let len = usize::try_from(segment.len - skip).ok()?;
        self.map.get(start..start.checked_add(len)?)
    }
}

type Parsed = (Vec<CoreRange>, Vec<CoreSegment>, Notes);

fn parse(bytes: &[u8]) -> Result<Parsed, &'static str> {
    let endian = LittleEndian;
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(|_| "it is not an ELF file")?;
    if !header.is_little_endian() || header.e_machine(endian) != elf::EM_X86_64 {
        return Err("it is of another machine");
    }
    if header.e_type(endian) != elf::ET_CORE {
        return Err("it is another kind of ELF file");
    }
    let headers = header
        .program_headers(endian, bytes)
        .map_err(|_| "its headers are damaged, or it was cut short")?;
    if headers.len() > MAX_SEGMENTS {
        return Err("it has too many segments");
    }
    let (mut ranges, mut segments) = (Vec::new(), Vec::new());
    let mut notes = Notes::default();
    let noted = || {
        let noted = headers.iter();
        let noted = noted.filter_map(|program| program.notes(endian, bytes).ok().flatten());
        noted.take(MAX_NOTES)
    };
    let layout = noted().find_map(Notes::layout);
    for found in noted() {
        notes.read(found, layout);
    }
    for program in headers {
        if program.p_type(endian) != elf::PT_LOAD {
            continue;
        }
        // A core that was cut has less than it says: what is there is good.
        let offset = program.p_offset(endian);
        let left = (bytes.len() as u64).saturating_sub(offset);
        let len = program.p_filesz(endian).min(left);
        let addr = program.p_vaddr(endian);
        let flags = program.p_flags(endian);
        ranges.push(CoreRange {
            start: addr,
            end: addr.saturating_add(program.p_memsz(endian)),
            claimed: program.p_filesz(endian),
            permissions: Permissions {
                writable: flags.contains(elf::PF_W),
                executable: flags.contains(elf::PF_X),
            },
        });
        if let Ok(offset) = usize::try_from(offset)
            && len > 0
            && addr.checked_add(len).is_some()
        {
            segments.push(CoreSegment { addr, offset, len });
        }
    }
    segments.sort_by_key(|segment| segment.addr);
    if notes.threads.is_empty() {
        // gdb writes the notes last.
        let end = bytes.len() as u64;
        let is_cut = |program: &ProgramHeader64<LittleEndian>| {
            let last = program
                .p_offset(endian)
                .checked_add(program.p_filesz(endian));
            program.p_type(endian) == elf::PT_NOTE && last.is_none_or(|last| last > end)
        };
        return Err(match headers.iter().any(is_cut) {
            true => "it was cut short before its threads (NT_PRSTATUS)",
            false => "it has no thread (NT_PRSTATUS)",
        });
    }
    Ok((ranges, segments, notes))
}
