use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSegment, SegmentFlags, elf};

use crate::address::FileAddr;
use crate::error::LoadError;
use crate::loader::Mapped;

/// How gimli sees a section.
pub(crate) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The most bytes that one compressed section may unfold to.
const MAX_UNFOLDED: u64 = 4 << 30;
/// Deflate cannot do better than 1032 to 1; what claims more is not honest.
const MAX_RATIO: u64 = 2048;

/// A piece of a file that a `PT_LOAD` maps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    pub addr: FileAddr,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes that come from the file.
    pub len: u64,
}

/// A section's place in the file, or its bytes where they were compressed.
#[derive(Clone, Debug)]
pub(crate) enum Section {
    File(Range<usize>),
    Unfolded(Arc<[u8]>),
}

/// One ELF file, decoded at the border: nobody behind it sees headers.
#[derive(Debug)]
pub(crate) struct Image {
    map: Mapped,
    pub(crate) build_id: Option<Vec<u8>>,
    pub(crate) segments: Vec<Segment>,
    /// Every `PT_LOAD`, those with code included.
    loaded: Vec<Segment>,
    sections: DwarfSections<Section>,
    /// `.debug_loc` and `.debug_loclists`, which gimli does not give back.
    location_lists: [Section; 2],
    pub(crate) frames: Frames,
    /// What `.gnu_debuglink` names: a file name, and the CRC of the file.
    pub(crate) debug_link: Option<(PathBuf, u32)>,
    /// What `.gnu_debugaltlink` names: a path, and the build-id of the file there.
    pub(crate) shared: Option<(Vec<u8>, Vec<u8>)>,
}

/// The unwind tables and the addresses that they are relative to.
#[derive(Debug)]
pub(crate) struct Frames {
    eh_frame: Section,
    debug_frame: Section,
    pub(crate) eh_frame_addr: u64,
    pub(crate) text_addr: u64,
    pub(crate) got_addr: u64,
}

impl Image {
    pub(crate) fn read(map: Mapped, name: &Path) -> Result<Image, LoadError> {
        let bad = |why: String| LoadError::BadElf {
            name: name.display().to_string(),
            why,
        };
        check_machine(&map, name)?;
        let elf = ElfFile64::<Endianness>::parse(&*map).map_err(|error| bad(error.to_string()))?;
        let build_id = elf.build_id().ok().flatten().map(<[u8]>::to_vec);
        let (segments, loaded) = segments(&elf, map.len());
        let section = |name: &str| section(&elf, name, map.len());
        let mut location_lists = [Section::File(0..0), Section::File(0..0)];
        let sections = DwarfSections::load(|id: SectionId| {
            let read = section(id.name())?;
            match id {
                SectionId::DebugLoc => location_lists[0] = read.clone(),
                SectionId::DebugLocLists => location_lists[1] = read.clone(),
                _ => {}
            }
            Ok(read)
        })
        .map_err(bad)?;
        let frames = Frames {
            eh_frame: section(".eh_frame").map_err(bad)?,
            debug_frame: section(".debug_frame").map_err(bad)?,
            eh_frame_addr: address(&elf, ".eh_frame"),
            text_addr: address(&elf, ".text"),
            got_addr: address(&elf, ".got"),
        };
        let shared = elf
            .gnu_debugaltlink()
            .ok()
            .flatten()
            .map(|(path, id)| (path.to_vec(), id.to_vec()));
        Ok(Image {
            build_id,
            segments,
            loaded,
            sections,
            location_lists,
            frames,
            debug_link: debug_link(&elf),
            shared,
            map,
        })
    }

    /// The CRC that `.gnu_debuglink` means (gdb manual, "Separate Debug Files").
    pub(crate) fn checksum(&self) -> u32 {
        crc32fast::hash(&self.map)
    }

    pub(crate) fn has_debug_info(&self) -> bool {
        !gimli::Section::reader(&self.dwarf().debug_info).is_empty()
    }

    /// The bytes of an executable segment; `None` where the file has none.
    pub(crate) fn code(&self, addr: FileAddr, len: usize) -> Option<&[u8]> {
        self.bytes_in(self.segment(addr)?, addr, len)
    }

    /// Bytes of any segment as the file has them, read-only data too: what is written to at run
    /// time, relocations included, is not in them.
    pub(crate) fn data(&self, addr: FileAddr, len: usize) -> Option<&[u8]> {
        let holds =
            |segment: &&Segment| addr.0 >= segment.addr.0 && addr.0 - segment.addr.0 < segment.len;
        self.bytes_in(self.loaded.iter().find(holds)?, addr, len)
    }

    fn bytes_in(&self, segment: &Segment, addr: FileAddr, len: usize) -> Option<&[u8]> {
        let skip = addr.0 - segment.addr.0;
        if skip.checked_add(len as u64)? > segment.len {
            return None;
        }
        let start = usize::try_from(segment.offset.checked_add(skip)?).ok()?;
        self.map.get(start..start.checked_add(len)?)
    }

    pub(crate) fn segment(&self, addr: FileAddr) -> Option<&Segment> {
        self.segments
            .iter()
            .find(|segment| addr.0 >= segment.addr.0 && addr.0 - segment.addr.0 < segment.len)
    }

    pub(crate) fn dwarf(&self) -> gimli::Dwarf<Bytes<'_>> {
        self.sections
            .borrow(|section| EndianSlice::new(self.bytes(section), LittleEndian))
    }

    /// The section with location lists, whose name depends on the version of DWARF.
    pub(crate) fn location_lists(&self, version: u16) -> Bytes<'_> {
        let section = &self.location_lists[usize::from(version >= 5)];
        EndianSlice::new(self.bytes(section), LittleEndian)
    }

    pub(crate) fn eh_frame(&self) -> &[u8] {
        self.bytes(&self.frames.eh_frame)
    }

    pub(crate) fn debug_frame(&self) -> &[u8] {
        self.bytes(&self.frames.debug_frame)
    }

    fn bytes<'a>(&'a self, section: &'a Section) -> &'a [u8] {
        match section {
            Section::File(range) => self.map.get(range.clone()).unwrap_or_default(),
            Section::Unfolded(bytes) => bytes,
        }
    }
}

fn debug_link(elf: &ElfFile64<'_, Endianness>) -> Option<(PathBuf, u32)> {
    let (name, crc) = elf.gnu_debuglink().ok().flatten()?;
    let name = Path::new(OsStr::from_bytes(name));
    // The name of a file and not of a way to one.
    let is_bare = name.file_name() == Some(name.as_os_str());
    is_bare.then(|| (name.to_owned(), crc))
}

fn check_machine(bytes: &[u8], name: &Path) -> Result<(), LoadError> {
    let name = || name.display().to_string();
    // e_ident, then e_type and e_machine: the same place in 32-bit and 64-bit files.
    let Some(header) = bytes.get(..20).filter(|header| header[..4] == elf::ELFMAG) else {
        return Err(LoadError::BadElf {
            name: name(),
            why: "it does not begin like an ELF file".to_owned(),
        });
    };
    let machine = u16::from_le_bytes([header[18], header[19]]);
    let found = if header[4] == elf::ELFCLASS32.0 {
        "a 32-bit file".to_owned()
    } else if header[5] != elf::ELFDATA2LSB.0 {
        "a big-endian file".to_owned()
    } else if machine != elf::EM_X86_64.0 {
        format!("machine {machine}")
    } else {
        return Ok(());
    };
    Err(LoadError::NotX86_64 {
        name: name(),
        found,
    })
}

/// The segments with code, and all that are loaded.
fn segments(elf: &ElfFile64<'_, Endianness>, file_len: usize) -> (Vec<Segment>, Vec<Segment>) {
    let (mut code, mut all) = (Vec::new(), Vec::new());
    for segment in elf.segments() {
        let SegmentFlags::Elf { p_flags, .. } = segment.flags() else {
            continue;
        };
        let (offset, len) = segment.file_range();
        let in_file = offset
            .checked_add(len)
            .is_some_and(|end| end <= file_len as u64);
        let no_wrap = segment.address().checked_add(len).is_some();
        if !in_file || !no_wrap {
            continue;
        }
        let segment = Segment {
            addr: FileAddr(segment.address()),
            offset,
            len,
        };
        if p_flags.contains(elf::PF_X) {
            code.push(segment.clone());
        }
        all.push(segment);
    }
    (code, all)
}

fn section(
    elf: &ElfFile64<'_, Endianness>,
    name: &str,
    file_len: usize,
) -> Result<Section, String> {
    let empty = Section::File(0..0);
    // `section_by_name` also finds the old `.zdebug_` form.
    let Some(section) = elf.section_by_name(name) else {
        return Ok(empty);
    };
    let bad = |error: object::Error| format!("{name}: {error}");
    let range = section.compressed_file_range().map_err(bad)?;
    if range.format == object::CompressionFormat::None {
        let start = usize::try_from(range.offset).map_err(|_| format!("{name}: too far"))?;
        let len =
            usize::try_from(range.uncompressed_size).map_err(|_| format!("{name}: too long"))?;
        let end = start.checked_add(len).filter(|&end| end <= file_len);
        return match end {
            _ if len == 0 => Ok(empty),
            Some(end) => Ok(Section::File(start..end)),
            None => Err(format!("{name}: reaches beyond the end of the file")),
        };
    }
    let claimed = range.uncompressed_size;
    if claimed > MAX_UNFOLDED || claimed > range.compressed_size.saturating_mul(MAX_RATIO) {
        return Err(format!("{name}: claims to unfold to {claimed} bytes"));
    }
    let bytes = section.uncompressed_data().map_err(bad)?;
    Ok(Section::Unfolded(bytes.into_owned().into()))
}

fn address(elf: &ElfFile64<'_, Endianness>, name: &str) -> u64 {
    elf.section_by_name(name)
        .map_or(0, |section| section.address())
}
