use crate::address::FileAddr;
use crate::error::LocateError;
use crate::info::Info;
use crate::place::Place;
use crate::resolve::owner::owner;

/// The place of one address of the file. Debug info is not needed.
pub(crate) fn resolve(info: &Info<'_>, address: u64) -> Result<Place, LocateError> {
    if info.binary.image.segment(FileAddr(address)).is_none() {
        return Err(LocateError::NoSuchAddress {
            name: info.binary.name().display().to_string(),
            address,
        });
    }
    let bare = || Place {
        addr: FileAddr(address),
        function: String::new(),
        file: String::new(),
        line: 0,
        column: 0,
        inlined: Vec::new(),
        scope: None,
        view: None,
    };
    let hinted = info.hinted_units(address);
    let others = info.own_units().filter(|unit| !hinted.contains(unit));
    // Units whose debug info is broken do not make the address less of an address.
    let found = hinted
        .iter()
        .copied()
        .chain(others)
        .filter(|&unit| info.covers(unit, address).unwrap_or(false))
        .find_map(|unit| {
            let scopes = info.scopes(unit).ok()?;
            let lines = info.lines(unit).ok()?;
            let row = lines.row_at(address);
            let owner = match row {
                Some(row) => owner(info, unit, &scopes, row, address).ok()?,
                None => scopes
                    .innermost(address)
                    .map(|node| scopes.instance_of(node)),
            };
            let owner = owner.map(|owner| (&*scopes, owner));
            info.place(unit, address, row, owner)
                .ok()
                .filter(|_| row.is_some() || owner.is_some())
        });
    Ok(found.unwrap_or_else(bare))
}

impl Info<'_> {
    /// Whether a unit's own list of addresses has one; a unit without a list may have any.
    pub(crate) fn covers(&self, unit: usize, address: u64) -> crate::info::Result<bool> {
        let offset = self.unit(unit)?.header.root_offset().0;
        let root = self.die(crate::info::DieRef { unit, offset })?;
        let listed =
            root.attr(gimli::DW_AT_ranges).is_some() || root.attr(gimli::DW_AT_high_pc).is_some();
        let ranges = self.ranges(&root)?;
        Ok(!listed
            || ranges
                .iter()
                .any(|range| range.begin <= address && address < range.end))
    }
}
