//! Which entry of a location list holds at a row of the line table.
//!
//! gcc's optimised code has several rows at one address, numbered as *views*: the statements
//! between them left no instruction. Where a list says from which view on an entry holds, a
//! variable that such a statement sets still has its value from before at the row of the statement.

use gimli::{AttributeValue, DwarfFileType, Expression, LocListIter, RawLocListEntry, Reader};

use super::Result;
use super::die::Die;
use super::units::{Info, Unit};
use crate::image::Bytes;

/// The most entries of one list.
const MAX_ENTRIES: usize = 65_536;

/// An entry of a location list: from where up to where an expression holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed<'a> {
    begin: u64,
    end: u64,
    /// From which view at `begin` up to which at `end`, where the list says so.
    views: Option<(u64, u64)>,
    pub(crate) expression: Expression<Bytes<'a>>,
}

impl Listed<'_> {
    /// Whether it holds at an address, and at a view of it where that is known.
    pub(crate) fn holds(&self, addr: u64, view: Option<u32>) -> bool {
        match (view, self.views) {
            (Some(view), Some((from, to))) => {
                let here = (addr, u64::from(view));
                (self.begin, from) <= here && here < (self.end, to)
            }
            _ => self.begin <= addr && addr < self.end,
        }
    }
}

impl<'a> Info<'a> {
    /// The expression of a location list that holds at an address, and at a view of it where that
    /// is known; `None` where none does.
    pub(crate) fn listed_location(
        &self,
        die: &Die<'a>,
        list: AttributeValue<Bytes<'a>>,
        addr: u64,
        view: Option<u32>,
    ) -> Result<Option<Expression<Bytes<'a>>>> {
        let mut found = None;
        self.each_listed(die, list, |listed| {
            found = listed.holds(addr, view).then_some(listed.expression);
            found.is_some()
        })?;
        // An empty expression says that there is none.
        Ok(found.filter(|expression| !expression.0.is_empty()))
    }

    /// All entries of a location list that have an expression.
    pub(crate) fn listed(
        &self,
        die: &Die<'a>,
        list: AttributeValue<Bytes<'a>>,
    ) -> Result<Vec<Listed<'a>>> {
        let mut all = Vec::new();
        self.each_listed(die, list, |listed| {
            all.push(listed);
            false
        })?;
        Ok(all)
    }

    /// Calls with each entry of a list until the callee says that it has what it wants.
    fn each_listed(
        &self,
        die: &Die<'a>,
        list: AttributeValue<Bytes<'a>>,
        mut is_wanted: impl FnMut(Listed<'a>) -> bool,
    ) -> Result<()> {
        let unit = self.unit(die.at.unit)?;
        let dwarf = self.dwarf_of(die.at.unit);
        let Some(mut entries) = self.location_list(die.at.unit, &unit, list)? else {
            return Ok(());
        };
        let mut views = self.views(die);
        let mut base = unit.low_pc;
        for _ in 0..MAX_ENTRIES {
            let Some(raw) = entries.next_raw()? else {
                break;
            };
            let at = |index| dwarf.address(&unit, index);
            let (begin, end, data) = match raw {
                RawLocListEntry::BaseAddress { addr } => {
                    base = addr;
                    continue;
                }
                RawLocListEntry::BaseAddressx { addr } => {
                    base = at(addr)?;
                    continue;
                }
                RawLocListEntry::DefaultLocation { .. } => continue,
                RawLocListEntry::AddressOrOffsetPair { begin, end, data }
                | RawLocListEntry::OffsetPair { begin, end, data } => {
                    (base.wrapping_add(begin), base.wrapping_add(end), data)
                }
                RawLocListEntry::StartEnd { begin, end, data } => (begin, end, data),
                RawLocListEntry::StartLength {
                    begin,
                    length,
                    data,
                } => (begin, begin.wrapping_add(meant_length(length)), data),
                RawLocListEntry::StartxEndx { begin, end, data } => (at(begin)?, at(end)?, data),
                RawLocListEntry::StartxLength {
                    begin,
                    length,
                    data,
                } => {
                    let begin = at(begin)?;
                    (begin, begin.wrapping_add(meant_length(length)), data)
                }
            };
            let listed = Listed {
                begin,
                end,
                views: pair(&mut views),
                expression: data,
            };
            if is_wanted(listed) {
                break;
            }
        }
        Ok(())
    }

    /// gimli's `Dwarf::attr_locations`, but for the section: it is unfolded here, and not for
    /// lookups that read no location list.
    fn location_list(
        &self,
        index: usize,
        unit: &Unit<'a>,
        list: AttributeValue<Bytes<'a>>,
    ) -> Result<Option<LocListIter<Bytes<'a>>>> {
        let dwarf = self.dwarf_of(index);
        let lists = self.location_lists(index);
        let (encoding, low_pc) = (unit.encoding(), unit.low_pc);
        let offset = match list {
            AttributeValue::LocationListsRef(offset) => offset,
            AttributeValue::DebugLocListsIndex(index) => {
                lists.get_offset(encoding, unit.loclists_base, index)?
            }
            _ => return Ok(None),
        };
        let (addresses, base) = (&dwarf.debug_addr, unit.addr_base);
        Ok(Some(match dwarf.file_type {
            DwarfFileType::Main => lists.locations(offset, encoding, low_pc, addresses, base)?,
            DwarfFileType::Dwo => lists.locations_dwo(offset, encoding, low_pc, addresses, base)?,
        }))
    }

    /// The pairs of views that belong to a variable's list, one for each entry.
    fn views(&self, die: &Die<'a>) -> Option<Bytes<'a>> {
        let Some(AttributeValue::SecOffset(offset)) = die.attr(gimli::DW_AT_GNU_locviews) else {
            return None;
        };
        let unit = self.unit(die.at.unit).ok()?;
        let version = unit.encoding().version;
        let mut bytes = self.location_section(die.at.unit, version);
        bytes.skip(offset).ok()?;
        // In a .dwo file gcc counts from behind the section's header, which came with DWARF 5.
        if self.dwarf_of(die.at.unit).file_type == DwarfFileType::Dwo {
            bytes.skip(unit.loclists_base.0).ok()?;
        }
        Some(bytes)
    }
}

/// What gcc means by a length. Where an entry begins a byte before a label and ends at it, split
/// debug info has `label-label-1` for it, which is -1 in four or eight bytes, and means 1. (Longer
/// ones come out two bytes short: then a value is missing, and none is wrong.)
fn meant_length(length: u64) -> u64 {
    match length {
        0xffff_ffff | u64::MAX => 1,
        length => length,
    }
}

fn pair(views: &mut Option<Bytes<'_>>) -> Option<(u64, u64)> {
    let views = views.as_mut()?;
    Some((views.read_uleb128().ok()?, views.read_uleb128().ok()?))
}
