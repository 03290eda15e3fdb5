//! Units of split debug info. The index of a skeleton unit stands for the unit that it is the
//! skeleton of: whoever asks for its DIEs gets those of the `.dwo` or `.dwp` file, with the line
//! table, the addresses and the directory of the skeleton.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use gimli::{
    DebugTypeSignature, Dwarf, DwarfFileType, DwarfPackage, EndianSlice, LittleEndian, SectionId,
    UnitHeader, UnitOffset, UnitType,
};

use super::Result;
use super::units::{Info, Unit};
use crate::find::{Half, Tried, unit_of};
use crate::image::{Bytes, Image};

/// A unit of a `.dwo` or `.dwp` file, with the sections that it is read with.
#[derive(Debug)]
pub(super) struct SplitUnit<'a> {
    image: &'a Image,
    pub(super) dwarf: Dwarf<Bytes<'a>>,
    pub(super) header: UnitHeader<Bytes<'a>>,
    /// `.debug_loc` and `.debug_loclists`: of a package, the part that belongs to this unit.
    package_lists: Option<[Bytes<'a>; 2]>,
}

/// What an [`Info`] knows of split units.
#[derive(Debug, Default)]
pub(super) struct Split<'a> {
    /// By index of the skeleton.
    units: Vec<OnceCell<Option<Box<SplitUnit<'a>>>>>,
    package: OnceCell<Option<Package<'a>>>,
    types: OnceCell<TypeUnits<'a>>,
}

#[derive(Debug)]
struct Package<'a> {
    image: &'a Image,
    sections: DwarfPackage<Bytes<'a>>,
}

/// Type units, numbered behind all other units: those of the package by row, then those of the
/// files in the order of their skeletons.
#[derive(Debug, Default)]
struct TypeUnits<'a> {
    package: Vec<OnceCell<Option<Box<SplitUnit<'a>>>>>,
    /// The skeleton whose file has it.
    files: Vec<(usize, UnitHeader<Bytes<'a>>)>,
}

impl<'a> Split<'a> {
    pub(super) fn new(count: usize) -> Split<'a> {
        Split {
            units: (0..count).map(|_| OnceCell::new()).collect(),
            ..Split::default()
        }
    }
}

impl<'a> Info<'a> {
    /// The other half of an own unit, if it is a skeleton whose file is there.
    pub(super) fn split(&self, unit: usize) -> Option<&SplitUnit<'a>> {
        let slot = self.split.units.get(unit)?;
        let read = slot.get_or_init(|| {
            let half = self.half(unit)?;
            self.in_package(&half)
                .or_else(|| self.in_file(unit, &half))
                .map(Box::new)
        });
        read.as_deref()
    }

    /// The skeletons whose other half is missing, and where it should be. Opens all of them.
    pub(crate) fn missing_halves(&self) -> impl Iterator<Item = (usize, Tried)> {
        self.own_units().filter_map(|unit| {
            let half = self.half(unit)?;
            if self.split(unit).is_some() {
                return None;
            }
            let count = self.own_units().len();
            let tried = self.binary.split_files().file(count, unit, &half).err()?;
            Some((unit, tried))
        })
    }

    /// The file that is missing of the unit with an address in its code.
    pub(crate) fn missing_half_at(&self, addr: u64) -> Option<Tried> {
        let mut missing = self.missing_halves();
        let (_, tried) = missing.find(|(unit, _)| self.has_code_at(*unit, addr))?;
        Some(tried)
    }

    fn has_code_at(&self, unit: usize, addr: u64) -> bool {
        let holds = |range: gimli::Range| range.begin <= addr && addr < range.end;
        let Ok(skeleton) = self.skeleton(unit) else {
            return false;
        };
        let Ok(mut ranges) = self.dwarf.unit_ranges(&skeleton) else {
            return false;
        };
        while let Ok(Some(range)) = ranges.next() {
            if holds(range) {
                return true;
            }
        }
        false
    }

    /// Whether any unit is a skeleton. Then the numbers of units hold only as long as the binary
    /// is open: other files may be there the next time.
    pub(crate) fn is_split(&self) -> bool {
        self.own_units().any(|unit| self.half(unit).is_some())
    }

    /// Type units of split files: how many there are.
    pub(super) fn split_type_count(&self) -> usize {
        let types = self.split_types();
        types.package.len() + types.files.len()
    }

    /// Header and sections of a type unit, counted from the first one.
    pub(super) fn split_type(
        &self,
        index: usize,
    ) -> Option<(&Dwarf<Bytes<'a>>, &UnitHeader<Bytes<'a>>)> {
        let types = self.split_types();
        if let Some(slot) = types.package.get(index) {
            let row = u32::try_from(index + 1).ok()?;
            let unit = slot.get_or_init(|| self.type_in_package(row).map(Box::new));
            return unit.as_deref().map(|unit| (&unit.dwarf, &unit.header));
        }
        let (skeleton, header) = types.files.get(index - types.package.len())?;
        Some((&self.split(*skeleton)?.dwarf, header))
    }

    /// The type unit of a signature, and the DIE in it that is meant.
    pub(super) fn split_type_of(
        &self,
        signature: DebugTypeSignature,
    ) -> Option<(usize, UnitOffset)> {
        let types = self.split_types();
        if let Some(package) = self.package()
            && let Some(row) = package.sections.tu_index.find(signature.0)
            && let Some(index) = usize::try_from(row).ok()?.checked_sub(1)
            && let Some((_, header)) = self.split_type(index)
            && let Some((_, offset)) = type_of(header)
        {
            return Some((index, offset));
        }
        let at = types
            .files
            .iter()
            .position(|(_, header)| type_of(header).is_some_and(|(found, _)| found == signature))?;
        let (_, offset) = type_of(&types.files[at].1)?;
        Some((types.package.len() + at, offset))
    }

    /// The sections with the location lists of a unit, if it is a split one.
    pub(super) fn split_lists(&self, unit: usize, version: u16) -> Option<Bytes<'a>> {
        let split = self.split(unit)?;
        Some(match split.package_lists {
            Some([old, new]) => match version >= 5 {
                true => new,
                false => old,
            },
            None => split.image.location_lists(version),
        })
    }

    /// A unit of a split file with what its skeleton knows.
    pub(super) fn joined(&self, split: &SplitUnit<'a>, skeleton: &Unit<'a>) -> Result<Unit<'a>> {
        let mut unit = gimli::Unit::new(&split.dwarf, split.header)?;
        unit.copy_relocated_attributes(skeleton);
        unit.line_program.clone_from(&skeleton.line_program);
        unit.comp_dir = skeleton.comp_dir.or(unit.comp_dir);
        unit.name = unit.name.or(skeleton.name);
        Ok(unit)
    }

    /// What an own unit says of its other half; `None` if it is whole.
    fn half(&self, unit: usize) -> Option<Half> {
        let header = self.skeleton_header(unit)?;
        let may_be_one = match header.type_() {
            UnitType::Skeleton(_) => true,
            // The GNU form marks them in the root DIE only. No other old unit has addresses in a
            // section of their own, so that those of other programs are not looked at.
            UnitType::Compilation => {
                header.version() < 5 && self.binary.debug_image().size(SectionId::DebugAddr) > 0
            }
            _ => false,
        };
        if !may_be_one {
            return None;
        }
        let skeleton = self.skeleton(unit).ok()?;
        let id = skeleton.dwo_id?;
        let name = skeleton.dwo_name().ok()??;
        let name = self.dwarf.attr_string(&skeleton, name).ok()?;
        let path = |bytes: Bytes<'_>| PathBuf::from(OsStr::from_bytes(bytes.slice()));
        Some(Half {
            name: path(name),
            directory: skeleton
                .comp_dir
                .map(path)
                .unwrap_or_else(|| Path::new("/").to_owned()),
            id,
        })
    }

    fn package(&self) -> Option<&Package<'a>> {
        let read = || {
            let image = self.binary.split_files().package()?;
            let empty = EndianSlice::new(&[], LittleEndian);
            let load = |id: SectionId| -> Result<Bytes<'a>> { Ok(image.section(id)) };
            let sections = DwarfPackage::load(load, empty).ok()?;
            Some(Package { image, sections })
        };
        self.split.package.get_or_init(read).as_ref()
    }

    fn in_package(&self, half: &Half) -> Option<SplitUnit<'a>> {
        let package = self.package()?;
        let row = package.sections.cu_index.find(half.id.0)?;
        let dwarf = package.sections.cu_sections(row, &self.dwarf).ok()?;
        let header = unit_of(&dwarf, half.id)?;
        let empty = EndianSlice::new(&[], LittleEndian);
        let mut lists = [empty; 2];
        for part in package.sections.cu_index.sections(row).ok()? {
            let (at, id) = match part.section {
                gimli::IndexSectionId::DebugLoc => (0, SectionId::DebugLoc),
                gimli::IndexSectionId::DebugLocLists => (1, SectionId::DebugLocLists),
                _ => continue,
            };
            let begin = usize::try_from(part.offset).ok()?;
            let end = begin.checked_add(usize::try_from(part.size).ok()?)?;
            let whole = package.image.section(id);
            lists[at] = EndianSlice::new(whole.slice().get(begin..end)?, LittleEndian);
        }
        Some(SplitUnit {
            image: package.image,
            dwarf,
            header,
            package_lists: Some(lists),
        })
    }

    fn in_file(&self, unit: usize, half: &Half) -> Option<SplitUnit<'a>> {
        let count = self.own_units().len();
        let image = self.binary.split_files().file(count, unit, half).ok()?;
        let mut dwarf = image.dwarf();
        dwarf.file_type = DwarfFileType::Dwo;
        dwarf.make_dwo(&self.dwarf);
        let header = unit_of(&dwarf, half.id)?;
        Some(SplitUnit {
            image,
            dwarf,
            header,
            package_lists: None,
        })
    }

    fn type_in_package(&self, row: u32) -> Option<SplitUnit<'a>> {
        let package = self.package()?;
        let dwarf = package.sections.tu_sections(row, &self.dwarf).ok()?;
        let header = type_headers(&dwarf).into_iter().next()?;
        Some(SplitUnit {
            image: package.image,
            dwarf,
            header,
            package_lists: None,
        })
    }

    fn split_types(&self) -> &TypeUnits<'a> {
        self.split.types.get_or_init(|| {
            let mut types = TypeUnits::default();
            if !self.is_split() {
                return types;
            }
            if let Some(package) = self.package() {
                // Each has a row in the table, so that the file bounds their number.
                let count = package.sections.tu_index.unit_count();
                types.package = (0..count).map(|_| OnceCell::new()).collect();
            }
            for unit in self.own_units() {
                if let Some(split) = self.split(unit)
                    && split.package_lists.is_none()
                {
                    let headers = type_headers(&split.dwarf);
                    types
                        .files
                        .extend(headers.into_iter().map(|header| (unit, header)));
                }
            }
            types
        })
    }
}

fn type_headers<'a>(dwarf: &Dwarf<Bytes<'a>>) -> Vec<UnitHeader<Bytes<'a>>> {
    let mut headers = Vec::new();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        headers.extend(type_of(&header).map(|_| header));
    }
    let mut old = dwarf.type_units();
    while let Ok(Some(header)) = old.next() {
        headers.push(header);
    }
    headers
}

fn type_of(header: &UnitHeader<Bytes<'_>>) -> Option<(DebugTypeSignature, UnitOffset)> {
    match header.type_() {
        UnitType::Type {
            type_signature,
            type_offset,
        }
        | UnitType::SplitType {
            type_signature,
            type_offset,
        } => Some((type_signature, type_offset)),
        _ => None,
    }
}
