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
        let unit = self.unit(die.at.unit)?;
        let dwarf = self.dwarf_of(die.at.unit);
        let Some(mut entries) = self.location_list(die.at.unit, &unit, list)? else {
            return Ok(None);
        };
        let mut views = view.and_then(|_| self.views(die));
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
                } => (begin, begin.wrapping_add(length), data),
                RawLocListEntry::StartxEndx { begin, end, data } => (at(begin)?, at(end)?, data),
                RawLocListEntry::StartxLength {
                    begin,
                    length,
                    data,
                } => {
                    let begin = at(begin)?;
                    (begin, begin.wrapping_add(length), data)
                }
            };
            let holds = match (view, pair(&mut views)) {
                (Some(view), Some((from, to))) => {
                    let here = (addr, u64::from(view));
                    (begin, from) <= here && here < (end, to)
                }
                _ => begin <= addr && addr < end,
            };
            if holds {
                // An empty expression says that there is none.
                return Ok(Some(data).filter(|data| !data.0.is_empty()));
            }
        }
        Ok(None)
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
        let version = self.unit(die.at.unit).ok()?.encoding().version;
        let mut bytes = self.location_section(die.at.unit, version);
        bytes.skip(offset).ok()?;
        Some(bytes)
    }
}

fn pair(views: &mut Option<Bytes<'_>>) -> Option<(u64, u64)> {
    let views = views.as_mut()?;
    Some((views.read_uleb128().ok()?, views.read_uleb128().ok()?))
}
