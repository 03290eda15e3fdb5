use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use gimli::{
    AttributeValue, DebugInfoOffset, DebugLoc, DebugLocLists, Dwarf, LocationLists, UnitHeader,
    UnitOffset, UnitType,
};
use rustc_hash::FxHashMap;

use super::Result;
use super::die::{Die, DieRef};
use super::lines::LineTable;
use super::scopes::UnitScopes;
use super::split::Split;
use crate::binary::Binary;
use crate::image::{Bytes, Image};
use crate::index::Parents;

pub(crate) type Unit<'a> = gimli::Unit<Bytes<'a>>;

/// The debug info of a binary as one call sees it. Making one reads unit headers only.
#[derive(Debug)]
pub(crate) struct Info<'a> {
    pub(crate) binary: &'a Binary,
    pub(crate) dwarf: Dwarf<Bytes<'a>>,
    /// The binary's own units, then those of the file that debug files share; of either first
    /// those of `.debug_info`, in their order.
    headers: Vec<UnitHeader<Bytes<'a>>>,
    own: usize,
    /// Those of `.debug_info` of the binary, and of the shared file.
    in_info: [std::ops::Range<usize>; 2],
    pub(super) split: Split<'a>,
    /// Type units by signature.
    types: OnceCell<HashMap<u64, DieRef>>,
    units: RefCell<FxHashMap<usize, Rc<Unit<'a>>>>,
    lines: RefCell<FxHashMap<usize, Rc<LineTable>>>,
    pub(super) parents: RefCell<FxHashMap<usize, Rc<Parents>>>,
    /// Of declared structures of C what they are, by their declarations.
    pub(crate) definitions: RefCell<FxHashMap<DieRef, DieRef>>,
    /// The scopes that were asked for last.
    pub(super) deep: RefCell<Option<(usize, Arc<UnitScopes>)>>,
}

/// How many units whoever goes through all of them keeps at hand.
const MAX_UNITS: usize = 8;

/// Whose rules of arithmetic and names hold in a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    C,
    Cpp,
    Rust,
}

impl<'a> Info<'a> {
    pub(crate) fn new(binary: &'a Binary) -> Result<Info<'a>> {
        let mut dwarf = binary.debug_image().dwarf();
        let mut headers = Vec::new();
        let own_info = read_headers(&dwarf, &mut headers);
        let own = headers.len();
        let mut shared_info = own..own;
        if let Some(shared) = binary.shared_image() {
            let shared = shared.dwarf();
            shared_info = read_headers(&shared, &mut headers);
            dwarf.set_sup(shared);
        }
        Ok(Info {
            binary,
            dwarf,
            headers,
            own,
            in_info: [own_info, shared_info],
            split: Split::new(own),
            types: OnceCell::new(),
            units: RefCell::default(),
            lines: RefCell::default(),
            parents: RefCell::default(),
            definitions: RefCell::default(),
            deep: RefCell::default(),
        })
    }

    /// Lets go of what was read of units: for whoever reads one after the other of many.
    pub(crate) fn forget(&self) {
        self.lines.borrow_mut().clear();
        self.parents.borrow_mut().clear();
        self.deep.borrow_mut().take();
        let mut units = self.units.borrow_mut();
        if units.len() > MAX_UNITS {
            units.clear();
        }
    }

    /// The binary's own units, by index: those that have code, and type units.
    pub(crate) fn own_units(&self) -> std::ops::Range<usize> {
        0..self.own
    }

    /// Whether a unit has a type and no code.
    pub(crate) fn is_type_unit(&self, unit: usize) -> bool {
        let header = self.header(unit);
        header.is_some_and(|header| {
            matches!(
                header.type_(),
                UnitType::Type { .. } | UnitType::SplitType { .. }
            )
        })
    }

    /// All units: those of the shared file and the type units of split files included, for which
    /// all of these are opened.
    pub(crate) fn all_units(&self) -> std::ops::Range<usize> {
        0..self.headers.len() + self.split_type_count()
    }

    /// The header of the unit that has the DIEs: of a skeleton it is the one of its other half.
    pub(crate) fn header(&self, unit: usize) -> Option<&UnitHeader<Bytes<'a>>> {
        if let Some(split) = self.split(unit) {
            return Some(&split.header);
        }
        match unit.checked_sub(self.headers.len()) {
            None => self.headers.get(unit),
            Some(index) => self.split_type(index).map(|(_, header)| header),
        }
    }

    /// The header of an own unit as it is in the binary: the one with the line table and the
    /// ranges of a skeleton.
    pub(crate) fn skeleton_header(&self, unit: usize) -> Option<&UnitHeader<Bytes<'a>>> {
        self.headers.get(..self.own)?.get(unit)
    }

    /// The sections that a unit's DIEs are read with.
    pub(crate) fn dwarf_of(&self, unit: usize) -> &Dwarf<Bytes<'a>> {
        if let Some(split) = self.split(unit) {
            return &split.dwarf;
        }
        if let Some(index) = unit.checked_sub(self.headers.len())
            && let Some((dwarf, _)) = self.split_type(index)
        {
            return dwarf;
        }
        match self.dwarf.sup() {
            Some(shared) if unit >= self.own => shared,
            _ => &self.dwarf,
        }
    }

    /// The sections that a unit's line table is read with: those of the skeleton.
    pub(crate) fn line_dwarf_of(&self, unit: usize) -> &Dwarf<Bytes<'a>> {
        match unit < self.own {
            true => &self.dwarf,
            false => self.dwarf_of(unit),
        }
    }

    /// The file that a unit's sections are in.
    fn image_of(&self, unit: usize) -> &'a Image {
        match self.binary.shared_image() {
            Some(shared) if unit >= self.own => shared,
            _ => self.binary.debug_image(),
        }
    }

    /// The sections with a unit's location lists.
    pub(crate) fn location_lists(&self, unit: usize) -> LocationLists<Bytes<'a>> {
        LocationLists::new(
            DebugLoc::from(self.location_section(unit, 4)),
            DebugLocLists::from(self.location_section(unit, 5)),
        )
    }

    /// The one of them that a version of DWARF has.
    pub(crate) fn location_section(&self, unit: usize, version: u16) -> Bytes<'a> {
        self.split_lists(unit, version)
            .unwrap_or_else(|| self.image_of(unit).location_lists(version))
    }

    /// The offset of a unit in `.debug_info`, which is the same in every call.
    pub(crate) fn unit_offset(&self, unit: usize) -> usize {
        let header = self.headers.get(unit);
        header
            .and_then(UnitHeader::debug_info_offset)
            .map_or(0, |at| at.0)
    }

    pub(crate) fn unit(&self, unit: usize) -> Result<Rc<Unit<'a>>> {
        if let Some(known) = self.units.borrow().get(&unit) {
            return Ok(known.clone());
        }
        let read = Rc::new(match self.split(unit) {
            Some(split) => self.joined(split, &self.skeleton(unit)?)?,
            None => {
                let header = *self.header(unit).ok_or(gimli::Error::MissingUnitDie)?;
                gimli::Unit::new(self.dwarf_of(unit), header)?
            }
        });
        self.units.borrow_mut().insert(unit, read.clone());
        Ok(read)
    }

    /// An own unit as it is in the binary.
    pub(super) fn skeleton(&self, unit: usize) -> Result<Unit<'a>> {
        let header = self.skeleton_header(unit);
        let header = *header.ok_or(gimli::Error::MissingUnitDie)?;
        gimli::Unit::new(&self.dwarf, header)
    }

    /// The rows of a unit's line program.
    pub(crate) fn lines(&self, unit: usize) -> Result<Rc<LineTable>> {
        if let Some(known) = self.lines.borrow().get(&unit) {
            return Ok(known.clone());
        }
        let read = Rc::new(match self.is_type_unit(unit) {
            // It names the line table of another unit, for the files in it.
            true => LineTable::default(),
            false => LineTable::read(&*self.unit(unit)?, self.binary)?,
        });
        self.lines.borrow_mut().insert(unit, read.clone());
        Ok(read)
    }

    pub(crate) fn die(&self, at: DieRef) -> Result<Die<'a>> {
        let unit = self.unit(at.unit)?;
        let entry = unit.entry(UnitOffset(at.offset))?;
        Ok(Die { at, entry })
    }

    pub(crate) fn language(&self, unit: usize) -> Language {
        let root = self.unit(unit).and_then(|unit| {
            let root = unit.header.root_offset();
            unit.entry(root)
        });
        let language = root
            .ok()
            .and_then(|root| root.attr_value(gimli::DW_AT_language));
        match language {
            Some(AttributeValue::Language(gimli::DW_LANG_Rust)) => Language::Rust,
            Some(AttributeValue::Language(
                gimli::DW_LANG_C_plus_plus
                | gimli::DW_LANG_C_plus_plus_03
                | gimli::DW_LANG_C_plus_plus_11
                | gimli::DW_LANG_C_plus_plus_14
                | gimli::DW_LANG_C_plus_plus_17
                | gimli::DW_LANG_C_plus_plus_20,
            )) => Language::Cpp,
            _ => Language::C,
        }
    }

    /// The DIE that an attribute of a DIE in `unit` refers to.
    pub(crate) fn reference(
        &self,
        unit: usize,
        value: AttributeValue<Bytes<'a>>,
    ) -> Option<DieRef> {
        match value {
            AttributeValue::UnitRef(UnitOffset(offset)) => Some(DieRef { unit, offset }),
            AttributeValue::DebugInfoRef(DebugInfoOffset(offset)) if self.is_of_split(unit) => {
                self.within(unit, offset)
            }
            AttributeValue::DebugInfoRef(DebugInfoOffset(offset)) if unit < self.own => {
                self.own_die_at(offset)
            }
            AttributeValue::DebugInfoRef(DebugInfoOffset(offset))
            | AttributeValue::DebugInfoRefSup(DebugInfoOffset(offset)) => {
                self.at_offset(&self.in_info[1], offset)
            }
            AttributeValue::DebugTypesRef(signature) => self.type_unit(unit, signature),
            _ => None,
        }
    }

    /// The DIE at an offset of `.debug_info` of the binary's own debug info.
    pub(crate) fn own_die_at(&self, offset: usize) -> Option<DieRef> {
        self.at_offset(&self.in_info[0], offset)
    }

    fn at_offset(&self, among: &std::ops::Range<usize>, offset: usize) -> Option<DieRef> {
        let headers = self.headers.get(among.clone())?;
        let start =
            |header: &UnitHeader<Bytes<'a>>| header.debug_info_offset().map_or(0, |at| at.0);
        let after = headers.partition_point(|header| start(header) <= offset);
        let index = after.checked_sub(1)?;
        Some(DieRef {
            unit: among.start + index,
            offset: offset - start(&headers[index]),
        })
    }

    /// Whether a unit's DIEs are in a `.dwo` or `.dwp` file.
    fn is_of_split(&self, unit: usize) -> bool {
        unit >= self.headers.len() || self.split(unit).is_some()
    }

    /// The DIE at an offset of `.debug_info.dwo`, which has one unit with code: nothing else
    /// there is referred to by offset.
    fn within(&self, unit: usize, offset: usize) -> Option<DieRef> {
        let start = self.header(unit)?.debug_info_offset()?.0;
        let offset = offset.checked_sub(start)?;
        Some(DieRef { unit, offset })
    }

    fn type_unit(&self, from: usize, wanted: gimli::DebugTypeSignature) -> Option<DieRef> {
        if self.is_of_split(from) {
            let (index, UnitOffset(offset)) = self.split_type_of(wanted)?;
            let unit = self.headers.len() + index;
            return Some(DieRef { unit, offset });
        }
        let types = self.types.get_or_init(|| {
            let mut types = HashMap::new();
            for (unit, header) in self.headers.iter().enumerate() {
                if let UnitType::Type {
                    type_signature,
                    type_offset,
                } = header.type_()
                {
                    let offset = type_offset.0;
                    types
                        .entry(type_signature.0)
                        .or_insert(DieRef { unit, offset });
                }
            }
            types
        });
        types.get(&wanted.0).copied()
    }
}

/// Adds a file's units, and says which are those of `.debug_info`.
fn read_headers<'a>(
    dwarf: &Dwarf<Bytes<'a>>,
    headers: &mut Vec<UnitHeader<Bytes<'a>>>,
) -> std::ops::Range<usize> {
    let begin = headers.len();
    let mut units = dwarf.units();
    // One broken header hides what is behind it; what was before it is still good.
    while let Ok(Some(header)) = units.next() {
        headers.push(header);
    }
    let in_info = begin..headers.len();
    let mut types = dwarf.type_units();
    while let Ok(Some(header)) = types.next() {
        headers.push(header);
    }
    in_info
}
