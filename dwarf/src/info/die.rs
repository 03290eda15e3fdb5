use gimli::{AttributeValue, DebuggingInformationEntry, DwAt, DwTag, Range};

use super::Result;
use super::units::Info;
use crate::image::Bytes;

/// The most steps from a DIE to the one that names it: instance, abstract instance, declaration.
const MAX_ORIGINS: usize = 8;
/// The most ranges of one DIE.
const MAX_RANGES: usize = 65_536;

/// The place of a debugging information entry: the index of its unit and its offset there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct DieRef {
    pub(crate) unit: usize,
    pub(crate) offset: usize,
}

/// A debugging information entry that was read.
#[derive(Debug, Clone)]
pub(crate) struct Die<'a> {
    pub(crate) at: DieRef,
    pub(crate) entry: DebuggingInformationEntry<Bytes<'a>>,
}

impl<'a> Die<'a> {
    pub(crate) fn tag(&self) -> DwTag {
        self.entry.tag()
    }

    pub(crate) fn attr(&self, name: DwAt) -> Option<AttributeValue<Bytes<'a>>> {
        self.entry.attr_value(name)
    }

    pub(crate) fn udata(&self, name: DwAt) -> Option<u64> {
        self.entry.attr(name)?.udata_value()
    }

    pub(crate) fn flag(&self, name: DwAt) -> bool {
        matches!(self.attr(name), Some(AttributeValue::Flag(true)))
    }
}

impl<'a> Info<'a> {
    /// A DIE's own `DW_AT_name`.
    pub(crate) fn own_name(&self, die: &Die<'a>) -> Option<String> {
        self.text(die.at.unit, die.attr(gimli::DW_AT_name)?)
    }

    pub(crate) fn text(&self, unit: usize, value: AttributeValue<Bytes<'a>>) -> Option<String> {
        let unit_data = self.unit(unit).ok()?;
        let bytes = self.dwarf_of(unit).attr_string(&unit_data, value).ok()?;
        Some(String::from_utf8_lossy(bytes.slice()).into_owned())
    }

    /// The DIE that an attribute refers to.
    pub(crate) fn follow(&self, die: &Die<'a>, name: DwAt) -> Option<DieRef> {
        self.reference(die.at.unit, die.attr(name)?)
    }

    /// `die`, its abstract instance, its declaration, the type unit of that: where its attributes
    /// may stand.
    pub(crate) fn origins(&self, at: DieRef) -> Result<Vec<Die<'a>>> {
        let mut all = vec![self.die(at)?];
        while all.len() < MAX_ORIGINS {
            let last = all.last().expect("begins with one");
            let next = self
                .follow(last, gimli::DW_AT_abstract_origin)
                .or_else(|| self.follow(last, gimli::DW_AT_specification))
                .or_else(|| self.follow(last, gimli::DW_AT_signature));
            let Some(next) = next.filter(|next| all.iter().all(|die| die.at != *next)) else {
                break;
            };
            all.push(self.die(next)?);
        }
        Ok(all)
    }

    /// The addresses of a DIE, as the compiler listed them; empty ones and those that the linker
    /// dropped are left out.
    pub(crate) fn ranges(&self, die: &Die<'a>) -> Result<Vec<Range>> {
        let unit = self.unit(die.at.unit)?;
        let dwarf = self.dwarf_of(die.at.unit);
        let mut ranges = Vec::new();
        if let Some(value) = die.attr(gimli::DW_AT_ranges) {
            if let Some(mut list) = dwarf.attr_ranges(&unit, value)? {
                while let Some(range) = list.next()? {
                    ranges.push(range);
                    if ranges.len() == MAX_RANGES {
                        break;
                    }
                }
            }
        } else if let Some(begin) = self.address(die, gimli::DW_AT_low_pc)? {
            // gimli's `die_ranges` adds without looking at overflow.
            let end = match die.attr(gimli::DW_AT_high_pc) {
                Some(AttributeValue::Udata(len)) => begin.checked_add(len),
                Some(value) => dwarf.attr_address(&unit, value)?,
                None => None,
            };
            ranges.extend(end.map(|end| Range { begin, end }));
        }
        ranges.retain(|range| range.begin < range.end && self.is_code(range.begin));
        Ok(ranges)
    }

    pub(crate) fn address(&self, die: &Die<'a>, name: DwAt) -> Result<Option<u64>> {
        match die.attr(name) {
            Some(value) => {
                let unit = self.unit(die.at.unit)?;
                self.dwarf_of(die.at.unit).attr_address(&unit, value)
            }
            None => Ok(None),
        }
    }

    /// The linker leaves debug info of dropped functions behind, at address zero or at -1.
    pub(crate) fn is_code(&self, addr: u64) -> bool {
        self.binary
            .image
            .segment(crate::address::FileAddr(addr))
            .is_some()
    }

    /// The direct children of a DIE.
    pub(crate) fn children(&self, at: DieRef) -> Result<Vec<Die<'a>>> {
        let unit = self.unit(at.unit)?;
        let mut tree = unit.entries_tree(Some(gimli::UnitOffset(at.offset)))?;
        let mut children = tree.root()?.children();
        let mut all = Vec::new();
        while let Some(child) = children.next()? {
            let entry = child.entry().clone();
            let at = DieRef {
                unit: at.unit,
                offset: entry.offset().0,
            };
            all.push(Die { at, entry });
        }
        Ok(all)
    }
}
