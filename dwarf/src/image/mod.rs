//! One ELF file, decoded at the border: nobody behind it sees headers.

mod bias;
mod header;
mod restartable;
mod section;
mod segment;

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use gimli::{EndianSlice, LittleEndian, SectionId};
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection};

use crate::address::FileAddr;
use crate::error::LoadError;
use crate::loader::Mapped;
pub use bias::MappedPart;
use section::Section;
pub use segment::Segment;

/// How gimli sees a section.
pub(crate) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The most bytes that one compressed section may unfold to.
const MAX_UNFOLDED: u64 = 4 << 30;
/// The most that all sections of a file may unfold to: this much, and so many bytes for each byte
/// of the file. Debug info shrinks to a third or a tenth; what claims more is not honest.
const MAX_GROWTH: u64 = 64;
const ALWAYS_UNFOLDED: u64 = 512 << 20;

/// What nearly every lookup reads, and so is unfolded together. Location lists are large and not
/// among them, nor are the indexes.
const COMMON: &[SectionId] = &[
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTypes,
];
/// What is read by the few who need it.
const OTHERS: &[SectionId] = &[
    SectionId::DebugAranges,
    SectionId::DebugCuIndex,
    SectionId::DebugFrame,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugNames,
    SectionId::DebugTuIndex,
    SectionId::EhFrame,
    SectionId::EhFrameHdr,
];

/// By which names the sections of a file go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Naming {
    Ordinary,
    /// `.debug_info.dwo` and so on: a `.dwo` or `.dwp` file.
    Split,
}

/// One ELF file.
#[derive(Debug)]
pub(crate) struct Image {
    map: Mapped,
    pub(crate) name: PathBuf,
    pub(crate) build_id: Option<Vec<u8>>,
    pub(crate) segments: Vec<Segment>,
    /// Every `PT_LOAD`, those with code included.
    loaded: Vec<Segment>,
    sections: Vec<(SectionId, Section)>,
    pub(crate) frames: Frames,
    /// What `.gnu_debuglink` names: a file name, and the CRC of the file.
    pub(crate) debug_link: Option<(PathBuf, u32)>,
    /// What `.gnu_debugaltlink` names: a path, and the build-id of the file there.
    pub(crate) shared: Option<(Vec<u8>, Vec<u8>)>,
}

/// The addresses that unwind tables are relative to.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) eh_frame_addr: u64,
    pub(crate) eh_frame_hdr_addr: u64,
    pub(crate) text_addr: u64,
    pub(crate) got_addr: u64,
}

/// Thread-local variables: `PT_TLS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ThreadLocal {
    /// Where they begin in the file's addresses.
    pub(crate) addr: u64,
    /// In bytes.
    pub(crate) size: u64,
    /// How far below the thread's own block those of the program begin, in bytes (glibc's
    /// `init_static_tls`, for the variant of x86-64).
    pub(crate) room: u64,
}

/// Why what was read from a file does not count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// It was cut short meanwhile.
    Changed { name: String },
    /// A section of it cannot be unfolded; it read as empty.
    Section { why: String },
}

impl Image {
    pub(crate) fn read(map: Mapped, name: &Path) -> Result<Image, LoadError> {
        Image::read_named(map, name, Naming::Ordinary)
    }

    pub(crate) fn read_named(map: Mapped, name: &Path, naming: Naming) -> Result<Image, LoadError> {
        let bad = |why: String| LoadError::BadElf {
            name: name.display().to_string(),
            why,
        };
        header::check_machine(&map, name)?;
        let elf = ElfFile64::<Endianness>::parse(&*map).map_err(|error| bad(error.to_string()))?;
        let build_id = elf.build_id().ok().flatten().map(<[u8]>::to_vec);
        let (segments, loaded) = segment::segments(&elf, map.len());
        let sections = sections(&elf, map.len(), naming).map_err(bad)?;
        let shared = elf
            .gnu_debugaltlink()
            .ok()
            .flatten()
            .map(|(path, id)| (path.to_vec(), id.to_vec()));
        let image = Image {
            name: name.to_owned(),
            build_id,
            segments,
            loaded,
            sections,
            frames: Frames {
                eh_frame_addr: address(&elf, ".eh_frame"),
                eh_frame_hdr_addr: address(&elf, ".eh_frame_hdr"),
                text_addr: address(&elf, ".text"),
                got_addr: address(&elf, ".got"),
            },
            debug_link: debug_link(&elf),
            shared,
            map,
        };
        match image.map.is_torn() {
            true => Err(LoadError::Changed {
                name: image.name.display().to_string(),
            }),
            false => Ok(image),
        }
    }

    /// The CRC that `.gnu_debuglink` means (gdb manual, "Separate Debug Files").
    pub(crate) fn checksum(&self) -> u32 {
        crc32fast::hash(&self.map)
    }

    pub(crate) fn has_debug_info(&self) -> bool {
        self.size(SectionId::DebugInfo) > 0
    }

    /// Whether it is a `.dwp` file: one with an index of units.
    pub(crate) fn is_package(&self) -> bool {
        self.size(SectionId::DebugCuIndex) > 0
    }

    /// The bytes of an executable segment; `None` where the file has none.
    pub(crate) fn code(&self, addr: FileAddr, len: usize) -> Option<&[u8]> {
        self.segment(addr)?.bytes(&self.map, addr, len)
    }

    /// Bytes of any segment as the file has them, read-only data too: what is written to at run
    /// time, relocations included, is not in them.
    pub(crate) fn data(&self, addr: FileAddr, len: usize) -> Option<&[u8]> {
        let segment = self.loaded.iter().find(|segment| segment.holds(addr))?;
        segment.bytes(&self.map, addr, len)
    }

    /// The same up to the end of the segment.
    pub(crate) fn data_from(&self, addr: FileAddr) -> Option<&[u8]> {
        let segment = self.loaded.iter().find(|segment| segment.holds(addr))?;
        let len = usize::try_from(segment.len - (addr.0 - segment.addr.0)).ok()?;
        segment.bytes(&self.map, addr, len)
    }

    /// The thread-local variables of a program or library, if it has any.
    pub(crate) fn thread_local(&self) -> Option<ThreadLocal> {
        let (elf, header) = self.program_header(object::elf::PT_TLS)?;
        let endian = elf.endian();
        let addr = header.p_vaddr(endian);
        let align = header.p_align(endian).max(1);
        let skew = align.checked_sub(addr % align)? % align;
        let size = header.p_memsz(endian);
        let room = size.checked_sub(skew)?.checked_next_multiple_of(align)?;
        Some(ThreadLocal {
            addr,
            size,
            room: room.checked_add(skew)?,
        })
    }

    /// The address of what the dynamic linker reads, where it reads anything.
    pub(crate) fn dynamic(&self) -> Option<u64> {
        let (elf, header) = self.program_header(object::elf::PT_DYNAMIC)?;
        Some(header.p_vaddr(elf.endian()))
    }

    fn program_header(
        &self,
        kind: object::elf::ProgramType,
    ) -> Option<(
        ElfFile64<'_, Endianness>,
        object::elf::ProgramHeader64<Endianness>,
    )> {
        let elf = self.elf()?;
        let endian = elf.endian();
        let mut headers = elf.elf_program_headers().iter();
        let header = *headers.find(|header| header.p_type(endian) == kind)?;
        Some((elf, header))
    }

    /// Whether what the file has at an address is there at run time: nothing writes to it.
    pub(crate) fn is_fixed(&self, addr: FileAddr) -> bool {
        let segment = self.loaded.iter().find(|segment| segment.holds(addr));
        segment.is_some_and(|segment| !segment.writable)
    }

    pub(crate) fn segment(&self, addr: FileAddr) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.holds(addr))
    }

    /// The sections that nearly everybody needs, unfolded. Others are empty here: ask
    /// [`Image::section`] for them.
    pub(crate) fn dwarf(&self) -> gimli::Dwarf<Bytes<'_>> {
        self.unfold(COMMON);
        let load = |id: SectionId| -> Result<Bytes<'_>, std::convert::Infallible> {
            Ok(match COMMON.contains(&id) {
                true => self.section(id),
                false => EndianSlice::new(&[], LittleEndian),
            })
        };
        match gimli::Dwarf::load(load) {
            Ok(dwarf) => dwarf,
            Err(never) => match never {},
        }
    }

    /// A section's bytes; none where it is not there or, which [`Image::flaw`] says, cannot be
    /// unfolded.
    pub(crate) fn section(&self, id: SectionId) -> Bytes<'_> {
        let section = self.sections.iter().find(|(known, _)| *known == id);
        let bytes = section.and_then(|(_, section)| section.bytes(&self.map).ok());
        EndianSlice::new(bytes.unwrap_or_default(), LittleEndian)
    }

    /// How many bytes a section has, without unfolding it.
    pub(crate) fn size(&self, id: SectionId) -> u64 {
        let section = self.sections.iter().find(|(known, _)| *known == id);
        section.map_or(0, |(_, section)| section.size)
    }

    /// The section with location lists, whose name depends on the version of DWARF.
    pub(crate) fn location_lists(&self, version: u16) -> Bytes<'_> {
        self.section(match version >= 5 {
            true => SectionId::DebugLocLists,
            false => SectionId::DebugLoc,
        })
    }

    pub(crate) fn eh_frame(&self) -> &[u8] {
        self.section(SectionId::EhFrame).slice()
    }

    pub(crate) fn eh_frame_hdr(&self) -> &[u8] {
        self.section(SectionId::EhFrameHdr).slice()
    }

    pub(crate) fn debug_frame(&self) -> &[u8] {
        self.section(SectionId::DebugFrame).slice()
    }

    /// Where a piece of the file's bytes is in the file.
    pub(crate) fn range_of(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let start = (bytes.as_ptr() as usize).checked_sub(self.map.as_ptr() as usize)?;
        let end = start.checked_add(bytes.len())?;
        (end <= self.map.len()).then_some(start..end)
    }

    pub(crate) fn bytes_of(&self, range: Range<usize>) -> Option<&[u8]> {
        self.map.get(range)
    }

    /// The code that begins anew when its thread is stopped in it, as far as the file tells.
    pub(crate) fn restartable(&self) -> Vec<Range<u64>> {
        self.elf()
            .map_or(Vec::new(), |elf| restartable::sequences(&elf))
    }

    /// The headers again, for what is read once.
    pub(crate) fn elf(&self) -> Option<ElfFile64<'_, Endianness>> {
        ElfFile64::parse(&*self.map).ok()
    }

    /// What is wrong with what was read so far. Whoever answers from an image asks at the end.
    pub(crate) fn flaw(&self) -> Option<Flaw> {
        if self.map.is_torn() {
            return Some(Flaw::Changed {
                name: self.name.display().to_string(),
            });
        }
        for (id, section) in &self.sections {
            if section.is_folded()
                && section.is_ready()
                && let Err(why) = section.bytes(&self.map)
            {
                let (file, section) = (self.name.display(), id.name());
                return Some(Flaw::Section {
                    why: format!("{section} of {file} cannot be unfolded: {why}"),
                });
            }
        }
        None
    }

    /// Unfolds several sections at once, on as many CPUs as there are.
    pub(crate) fn unfold(&self, ids: &[SectionId]) {
        let mut waiting: Vec<&Section> = self
            .sections
            .iter()
            .filter(|(id, section)| ids.contains(id) && !section.is_ready())
            .map(|(_, section)| section)
            .collect();
        // The largest first, or the last thread goes on alone with it.
        waiting.sort_by_key(|section| std::cmp::Reverse(section.size));
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(section) = waiting.get(next.fetch_add(1, Ordering::Relaxed)) {
                // What is wrong with it is kept in it.
                let _ = section.bytes(&self.map);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..cpus.min(waiting.len()) {
                scope.spawn(work);
            }
            work();
        });
    }
}

fn sections(
    elf: &ElfFile64<'_, Endianness>,
    file_len: usize,
    naming: Naming,
) -> Result<Vec<(SectionId, Section)>, String> {
    let mut sections = Vec::new();
    let mut unfolded: u64 = 0;
    for &id in COMMON.iter().chain(OTHERS) {
        let name = match naming {
            Naming::Ordinary => id.name(),
            Naming::Split => id.dwo_name().unwrap_or(id.name()),
        };
        let section = match naming {
            Naming::Ordinary => Section::read(elf, name, file_len)?,
            Naming::Split => Section::read_all(elf, name, file_len)?,
        };
        if section.is_folded() {
            unfolded = unfolded.saturating_add(section.size);
            let limit = ALWAYS_UNFOLDED.saturating_add(MAX_GROWTH.saturating_mul(file_len as u64));
            if section.size > MAX_UNFOLDED || unfolded > limit {
                return Err(format!(
                    "{name}: claims to unfold to {} bytes",
                    section.size
                ));
            }
        }
        if section.size > 0 {
            sections.push((id, section));
        }
    }
    Ok(sections)
}

fn debug_link(elf: &ElfFile64<'_, Endianness>) -> Option<(PathBuf, u32)> {
    let (name, crc) = elf.gnu_debuglink().ok().flatten()?;
    let name = Path::new(OsStr::from_bytes(name));
    // The name of a file and not of a way to one.
    let is_bare = name.file_name() == Some(name.as_os_str());
    is_bare.then(|| (name.to_owned(), crc))
}

fn address(elf: &ElfFile64<'_, Endianness>, name: &str) -> u64 {
    elf.section_by_name(name)
        .map_or(0, |section| section.address())
}
