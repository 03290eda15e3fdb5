//! Inlined copies of functions, which the index leaves to be found when they are asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::names::NameIndex;
use super::parallel::each;
use super::walk::{Origin, UnitWalk};
use crate::binary::Binary;
use crate::info::{DieRef, Info};

impl NameIndex {
    /// Every inlined copy that has addresses of each of these functions: the copy, the function.
    pub(crate) fn inlined<'a>(
        &self,
        binary: &'a Binary,
        info: &Info<'a>,
        functions: &[DieRef],
    ) -> Vec<(DieRef, DieRef)> {
        let mut by_unit: BTreeMap<usize, BTreeSet<DieRef>> = BTreeMap::new();
        for &function in functions {
            by_unit.entry(function.unit).or_default().insert(function);
            for unit in self.foreign(function) {
                by_unit.entry(unit).or_default().insert(function);
            }
        }
        let units: Vec<usize> = by_unit.keys().copied().collect();
        let weight = |unit| info.header(unit).map_or(0, |header| header.unit_length());
        let found = each(
            &units,
            weight,
            None,
            || (Info::new(binary), Vec::new()),
            |(info, found), unit| {
                if let Ok(info) = info {
                    copies(info, unit, &by_unit[&unit], found);
                }
            },
            |(_, found)| found,
        );
        let mut found: Vec<(DieRef, DieRef)> = found.into_iter().flatten().collect();
        found.sort_unstable();
        found
    }
}

impl Info<'_> {
    /// Whether a line of one of these files calls, in this unit, what was inlined there and has
    /// addresses. Where the unit cannot be read to its end, whoever reads it deeply must tell.
    pub(crate) fn may_call(&self, unit: usize, files: &[u64], line: u32) -> bool {
        let Some(walk) = UnitWalk::new(self, unit) else {
            return true;
        };
        let mut calls = false;
        let whole = walk.inlined(self, |_, seen| {
            calls |= seen.call_line == Some(u64::from(line))
                && seen.call_file.is_some_and(|file| files.contains(&file));
        });
        calls || whole.is_none()
    }
}

fn copies(info: &Info<'_>, unit: usize, of: &BTreeSet<DieRef>, found: &mut Vec<(DieRef, DieRef)>) {
    let Some(walk) = UnitWalk::new(info, unit) else {
        return;
    };
    // What comes before a broken DIE is still good.
    let _ = walk.inlined(info, |offset, seen| {
        let to = match seen.origin {
            Some(Origin::Here(offset)) => DieRef {
                unit,
                offset: offset as usize,
            },
            Some(Origin::Elsewhere(to)) => to,
            None => return,
        };
        if of.contains(&to) {
            found.push((DieRef { unit, offset }, to));
        }
    });
}
