use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use gimli::{
    AttributeValue, DebugInfoOffset, DebugLoc, DebugLocLists, Dwarf, LocationLists, UnitHeader,
    UnitOffset, UnitType,
};

use super::Result;
use super::die::{Die, DieRef};
use super::lines::LineTable;
use crate::binary::Binary;
use crate::image::{Bytes, Image};
use crate::index::Parents;

pub(crate) type Unit<'a> = gimli::Unit<Bytes<'a>>;

/// The debug info of a binary as one call sees it. Making one reads unit headers only.
#[derive(Debug)]
pub(crate) struct Info<'a> {
    pub(crate) binary: &'a Binary,
    pub(crate) dwarf: Dwarf<Bytes<'a>>,
    /// The binary's own units, then those of the file that debug files share.
    headers: Vec<UnitHeader<Bytes<'a>>>,
    own: usize,
    units: RefCell<HashMap<usize, Rc<Unit<'a>>>>,
    lines: RefCell<HashMap<usize, Rc<LineTable>>>,
    pub(super) parents: RefCell<HashMap<usize, Rc<Parents>>>,
}

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
        let mut headers = read_headers(&dwarf)?;
        let own = headers.len();
        if let Some(shared) = binary.shared_image() {
            let shared = shared.dwarf();
            headers.extend(read_headers(&shared)?);
            dwarf.set_sup(shared);
        }
        Ok(Info {
            binary,
            dwarf,
            headers,
            own,
            units: RefCell::default(),
            lines: RefCell::default(),
            parents: RefCell::default(),
        })
    }

    /// Units that have code, by index.
    pub(crate) fn own_units(&self) -> std::ops::Range<usize> {
        0..self.own
    }

    /// All units, those of the shared file included.
    pub(crate) fn all_units(&self) -> std::ops::Range<usize> {
        0..self.headers.len()
    }

    pub(crate) fn dwarf_of(&self, unit: usize) -> &Dwarf<Bytes<'a>> {
        match self.dwarf.sup() {
            Some(shared) if unit >= self.own => shared,
            _ => &self.dwarf,
        }
    }

    pub(crate) fn header(&self, unit: usize) -> Option<&UnitHeader<Bytes<'a>>> {
        self.headers.get(unit)
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
        self.image_of(unit).location_lists(version)
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
        let header = *self.headers.get(unit).ok_or(gimli::Error::MissingUnitDie)?;
        let read = Rc::new(gimli::Unit::new(self.dwarf_of(unit), header)?);
        self.units.borrow_mut().insert(unit, read.clone());
        Ok(read)
    }

    /// The rows of a unit's line program.
    pub(crate) fn lines(&self, unit: usize) -> Result<Rc<LineTable>> {
        if let Some(known) = self.lines.borrow().get(&unit) {
            return Ok(known.clone());
        }
        let read = Rc::new(LineTable::read(&*self.unit(unit)?, self.binary)?);
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
            AttributeValue::DebugInfoRef(DebugInfoOffset(offset)) if unit < self.own => {
                self.at_offset(0, self.own, offset)
            }
            AttributeValue::DebugInfoRef(DebugInfoOffset(offset))
            | AttributeValue::DebugInfoRefSup(DebugInfoOffset(offset)) => {
                self.at_offset(self.own, self.headers.len(), offset)
            }
            AttributeValue::DebugTypesRef(signature) => self.type_unit(signature),
            _ => None,
        }
    }

    /// The DIE at an offset of `.debug_info` of the binary's own debug info.
    pub(crate) fn own_die_at(&self, offset: usize) -> Option<DieRef> {
        self.at_offset(0, self.own, offset)
    }

    fn at_offset(&self, from: usize, to: usize, offset: usize) -> Option<DieRef> {
        let headers = self.headers.get(from..to)?;
        let start =
            |header: &UnitHeader<Bytes<'a>>| header.debug_info_offset().map_or(0, |at| at.0);
        let after = headers.partition_point(|header| start(header) <= offset);
        let index = after.checked_sub(1)?;
        Some(DieRef {
            unit: from + index,
            offset: offset - start(&headers[index]),
        })
    }

    fn type_unit(&self, wanted: gimli::DebugTypeSignature) -> Option<DieRef> {
        self.headers
            .iter()
            .enumerate()
            .find_map(|(unit, header)| match header.type_() {
                UnitType::Type {
                    type_signature,
                    type_offset,
                } if type_signature == wanted => Some(DieRef {
                    unit,
                    offset: type_offset.0,
                }),
                _ => None,
            })
    }
}

fn read_headers<'a>(dwarf: &Dwarf<Bytes<'a>>) -> Result<Vec<UnitHeader<Bytes<'a>>>> {
    let mut headers = Vec::new();
    let mut units = dwarf.units();
    // One broken header hides what is behind it; what was before it is still good.
    while let Ok(Some(header)) = units.next() {
        headers.push(header);
    }
    let mut types = dwarf.type_units();
    while let Ok(Some(header)) = types.next() {
        headers.push(header);
    }
    Ok(headers)
}
