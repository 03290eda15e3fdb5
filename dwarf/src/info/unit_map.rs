use gimli::{DebugAranges, LittleEndian, SectionId};

use super::die::DieRef;
use super::units::Info;

/// How many ranges that begin before an address are looked at: units do not overlap, but what the
/// linker folded or dropped leaves some that do.
const MAX_BACK: usize = 64;
/// The most ranges that are kept.
const MAX_RANGES: usize = 16 << 20;

/// Which units have the code at an address.
#[derive(Debug, Default)]
pub(crate) struct UnitMap {
    /// `(begin, end, unit)`, ascending.
    ranges: Vec<(u64, u64, u32)>,
    /// Units that do not say where their code is.
    unlisted: Vec<usize>,
}

impl UnitMap {
    /// By `.debug_aranges` (DWARF 5, 6.1.2), which may lack units.
    pub(crate) fn of_aranges(info: &Info<'_>) -> UnitMap {
        let mut map = UnitMap::default();
        let section = info.binary.debug_image().section(SectionId::DebugAranges);
        let mut headers = DebugAranges::new(section.slice(), LittleEndian).headers();
        while let Ok(Some(header)) = headers.next() {
            let at = info.own_die_at(header.debug_info_offset().0);
            // An offset inside a unit is not that of one.
            let Some(DieRef { unit, offset: 0 }) = at else {
                continue;
            };
            let mut entries = header.entries();
            while let Ok(Some(entry)) = entries.next() {
                map.add(entry.range().begin, entry.range().end, unit);
            }
        }
        map.ranges.sort_unstable();
        map
    }

    /// By what all units say themselves.
    pub(crate) fn of_units(info: &Info<'_>) -> UnitMap {
        let units: Vec<usize> = info.own_units().collect();
        let mut map = UnitMap::default();
        for (unit, read) in crate::resolve::each_unit(info, &units, root_ranges) {
            match read {
                Ok(Some(ranges)) => {
                    for range in ranges {
                        map.add(range.begin, range.end, unit);
                    }
                }
                Ok(None) => map.unlisted.push(unit),
                Err(_) => {}
            }
        }
        map.ranges.sort_unstable();
        map
    }

    fn add(&mut self, begin: u64, end: u64, unit: usize) {
        if begin < end
            && self.ranges.len() < MAX_RANGES
            && let Ok(unit) = u32::try_from(unit)
        {
            self.ranges.push((begin, end, unit));
        }
    }

    /// The units that may have an address.
    pub(crate) fn at(&self, addr: u64) -> impl Iterator<Item = usize> {
        let after = self.ranges.partition_point(|range| range.0 <= addr);
        let before = self.ranges[..after].iter().rev().take(MAX_BACK);
        let listed = before.filter(move |range| addr < range.1);
        let listed = listed.filter_map(|range| usize::try_from(range.2).ok());
        listed.chain(self.unlisted.iter().copied())
    }
}

/// The addresses that a unit claims; `None` where it does not say.
fn root_ranges(info: &Info<'_>, unit: usize) -> super::Result<Option<Vec<gimli::Range>>> {
    if info.is_type_unit(unit) {
        return Ok(Some(Vec::new()));
    }
    let offset = info.unit(unit)?.header.root_offset().0;
    let root = info.die(DieRef { unit, offset })?;
    let is_listed =
        root.attr(gimli::DW_AT_ranges).is_some() || root.attr(gimli::DW_AT_high_pc).is_some();
    let ranges = info.ranges(&root)?;
    // Each thread reads many of them, once.
    info.forget();
    Ok(is_listed.then_some(ranges))
}
