use rustc_hash::FxHashMap;

use crate::index::Kind;
use crate::info::{DieRef, Info, Result};

/// The types that vtables of Rust are for, by the address of the vtable in the file.
pub(crate) type Vtables = FxHashMap<u64, Vec<DieRef>>;

impl Info<'_> {
    /// The types that have their vtable at an address: more than one where equal ones were merged.
    /// The first call for a binary asks the index of names for all of them.
    pub(crate) fn vtable_types(&self, addr: u64) -> &[DieRef] {
        let known = self.binary.vtables(self);
        known.get(&addr).map_or(&[], Vec::as_slice)
    }

    /// All of them.
    pub(crate) fn read_vtables(&self) -> Vtables {
        let mut vtables = Vtables::default();
        let names = self.binary.names(self);
        for (name, entries) in names.all() {
            // Before rustc 1.58 they were all called `vtable`.
            if !name.ends_with(b"{vtable}") && name != b"vtable" {
                continue;
            }
            for entry in entries.filter(|entry| entry.kind == Kind::Variable) {
                // One that is damaged is one less.
                if let Ok(Some((addr, of))) = self.vtable(entry.die) {
                    vtables.entry(addr).or_default().push(of);
                }
            }
        }
        vtables
    }

    /// The address of a vtable, and the type that it is for.
    fn vtable(&self, at: DieRef) -> Result<Option<(u64, DieRef)>> {
        let die = self.die(at)?;
        let Some(gimli::AttributeValue::Exprloc(location)) = die.attr(gimli::DW_AT_location) else {
            return Ok(None);
        };
        let encoding = self.unit(at.unit)?.encoding();
        let addr = match location.operations(encoding).next()? {
            Some(gimli::Operation::Address { address }) => address,
            Some(gimli::Operation::AddressIndex { index }) => {
                let unit = self.unit(at.unit)?;
                self.dwarf_of(at.unit).address(&unit, index)?
            }
            _ => return Ok(None),
        };
        let Some(of) = self.follow(&die, gimli::DW_AT_type) else {
            return Ok(None);
        };
        let of = self.follow(&self.die(of)?, gimli::DW_AT_containing_type);
        Ok(of.map(|of| (addr, of)))
    }
}
