//! At which lines a variable has a value.

use std::collections::{BTreeMap, HashMap};

use gimli::AttributeValue;

use super::variable::LineRange;
use crate::compile::{Scope, Stop, nodes_from};
use crate::info::{Die, DieRef, Listed, UnitScopes};
use crate::resolve::owner;

/// How far from the place lines are looked at.
const WINDOW: u32 = 250;

/// Where a variable has a value, wherever it is in scope.
pub(super) struct Lifetime<'a> {
    extent: Extent<'a>,
    /// The line that declares it: before it and on it there is no value yet. Zero for parameters.
    declared: u32,
}

enum Extent<'a> {
    Nowhere,
    Everywhere,
    Listed(Vec<Listed<'a>>),
}

impl<'a> Lifetime<'a> {
    pub(super) fn read(scope: &Scope<'a>, die: &Die<'a>) -> Result<Lifetime<'a>, Stop> {
        let unit = die.at.unit;
        let extent = match die.attr(gimli::DW_AT_location) {
            None if die.attr(gimli::DW_AT_const_value).is_some() => Extent::Everywhere,
            None => Extent::Nowhere,
            Some(AttributeValue::Exprloc(expression)) => match scope.is_whole(unit, expression) {
                true => Extent::Everywhere,
                false => Extent::Nowhere,
            },
            Some(list) => {
                let mut listed = scope.info.listed(die, list)?;
                listed.retain(|listed| scope.is_whole(unit, listed.expression));
                Extent::Listed(listed)
            }
        };
        let declared = match die.tag() {
            gimli::DW_TAG_formal_parameter => 0,
            _ => scope.info.declared(die.at)?.map_or(0, |(_, line)| line),
        };
        Ok(Lifetime {
            extent,
            declared: u32::try_from(declared).unwrap_or(0),
        })
    }

    pub(super) fn is_nowhere(&self) -> bool {
        match &self.extent {
            Extent::Nowhere => true,
            Extent::Everywhere => false,
            Extent::Listed(listed) => listed.is_empty(),
        }
    }

    fn holds(&self, row: &InstanceRow) -> bool {
        match &self.extent {
            Extent::Nowhere => false,
            Extent::Everywhere => true,
            Extent::Listed(listed) => listed
                .iter()
                .any(|listed| listed.holds(row.addr, Some(row.view))),
        }
    }
}

/// The lines of one function instance near a place, each with all rows that may be bound for it.
#[derive(Debug, Default)]
pub(super) struct InstanceLines(BTreeMap<u32, Vec<InstanceRow>>);

#[derive(Debug)]
struct InstanceRow {
    addr: u64,
    view: u32,
    is_stmt: bool,
    /// The instance's innermost scope there.
    node: usize,
}

impl InstanceLines {
    pub(super) fn read(
        scope: &Scope<'_>,
        instance: usize,
        file: &str,
        line: u32,
    ) -> Result<InstanceLines, Stop> {
        let mut lines = InstanceLines::default();
        let (Some(unit), Some(scopes)) = (scope.unit(), scope.unit_scopes()) else {
            return Ok(lines);
        };
        let info = &scope.info;
        let table = info.lines(unit)?;
        let offset = scopes.node(instance).die;
        let begins = info.declared(DieRef { unit, offset })?;
        let begins = begins.map_or(0, |(_, line)| line);
        let mut files: HashMap<u64, bool> = HashMap::new();
        for range in &scopes.node(instance).ranges {
            for row in table.within(range.begin, range.end) {
                let is_near = row.line.abs_diff(line) <= WINDOW && u64::from(row.line) >= begins;
                if row.line == 0 || !is_near {
                    continue;
                }
                let is_file = *files
                    .entry(row.file)
                    .or_insert_with(|| info.file_path(unit, row.file).as_deref() == Some(file));
                // A row of what is inlined into the instance is the callee's.
                if !is_file || owner(info, unit, scopes, row, row.addr)? != Some(instance) {
                    continue;
                }
                let nodes = nodes_from(scopes, instance, row.addr);
                let rows = lines.0.entry(row.line).or_default();
                rows.push(InstanceRow {
                    addr: row.addr,
                    view: row.view,
                    is_stmt: row.is_stmt,
                    node: nodes.first().copied().unwrap_or(instance),
                });
            }
        }
        for rows in lines.0.values_mut() {
            // Where there are statements, nothing else is bound.
            if rows.iter().any(|row| row.is_stmt) {
                rows.retain(|row| row.is_stmt);
            }
        }
        Ok(lines)
    }

    /// The lines at which a variable of the scope `node` has a value, whichever of the line's rows
    /// are bound.
    pub(super) fn live(
        &self,
        scopes: &UnitScopes,
        node: usize,
        lifetime: &Lifetime<'_>,
    ) -> Vec<LineRange> {
        let mut ranges: Vec<LineRange> = Vec::new();
        let mut is_open = false;
        for (&line, rows) in &self.0 {
            let has_value = |row: &InstanceRow| {
                scopes.outward(row.node).any(|around| around == node) && lifetime.holds(row)
            };
            if line <= lifetime.declared || !rows.iter().all(has_value) {
                is_open = false;
                continue;
            }
            match ranges.last_mut() {
                Some(last) if is_open => last.last = line,
                _ => ranges.push(LineRange {
                    first: line,
                    last: line,
                }),
            }
            is_open = true;
        }
        ranges
    }
}
