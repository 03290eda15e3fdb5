//! At which lines a variable has a value.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use gimli::AttributeValue;

use super::variable::LineRange;
use crate::compile::{Scope, Stop, nodes_from};
use crate::flow::{Callees, Graph};
use crate::info::{Die, DieRef, Listed, Row, UnitScopes};
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

    fn holds(&self, point: &Point) -> bool {
        match &self.extent {
            Extent::Nowhere => false,
            Extent::Everywhere => true,
            Extent::Listed(listed) => listed
                .iter()
                .any(|listed| listed.holds(point.addr, point.view)),
        }
    }
}

/// The lines of one function instance near a place, each with every point that may be bound for it.
#[derive(Debug, Default)]
pub(super) struct InstanceLines(BTreeMap<u32, Vec<Point>>);

/// An address of a line.
#[derive(Debug)]
struct Point {
    addr: u64,
    /// Which of the rows at the address it is, where it is one.
    view: Option<u32>,
    /// The instance's innermost scope there.
    node: usize,
}

/// What is looked at while the lines of an instance are gathered.
struct Gathering<'s, 'a> {
    scope: &'s Scope<'a>,
    scopes: &'s UnitScopes,
    unit: usize,
    instance: usize,
    lines: RangeInclusive<u32>,
    /// Whether a file of the unit's table is the instance's.
    files: HashMap<u64, bool>,
    file: &'s str,
}

impl InstanceLines {
    pub(super) fn read(
        scope: &Scope<'_>,
        instance: usize,
        file: &str,
        line: u32,
    ) -> Result<InstanceLines, Stop> {
        let (Some(unit), Some(scopes)) = (scope.unit(), scope.unit_scopes()) else {
            return Ok(InstanceLines::default());
        };
        let offset = scopes.node(instance).die;
        let begins = scope.info.declared(DieRef { unit, offset })?;
        let begins = begins.map_or(0, |(_, line)| u32::try_from(line).unwrap_or(u32::MAX));
        let mut gathering = Gathering {
            scope,
            scopes,
            unit,
            instance,
            lines: line.saturating_sub(WINDOW).max(begins).max(1)..=line.saturating_add(WINDOW),
            files: HashMap::new(),
            file,
        };
        gathering.lines()
    }

    /// The lines at which a variable of the scope `node` has a value, whichever of the line's
    /// points are bound.
    pub(super) fn live(
        &self,
        scopes: &UnitScopes,
        node: usize,
        lifetime: &Lifetime<'_>,
    ) -> Vec<LineRange> {
        let mut ranges: Vec<LineRange> = Vec::new();
        let mut is_open = false;
        for (&line, points) in &self.0 {
            let has_value = |point: &Point| {
                scopes.outward(point.node).any(|around| around == node) && lifetime.holds(point)
            };
            if line <= lifetime.declared || !points.iter().all(has_value) {
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

impl Gathering<'_, '_> {
    fn lines(&mut self) -> Result<InstanceLines, Stop> {
        let function = self.scopes.outward(self.instance).last();
        let function = function.unwrap_or(self.instance);
        let table = self.scope.info.lines(self.unit)?;
        let mut rows: Vec<Row> = Vec::new();
        for range in &self.scopes.node(function).ranges {
            rows.extend(table.within(range.begin, range.end));
        }
        rows.sort_by_key(|row| (row.addr, row.view));
        let mut own: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
        for row in &rows {
            if self.is_own(row)? {
                own.entry(row.line).or_default().push(*row);
            }
        }
        for rows in own.values_mut() {
            // Where there are statements, nothing else is bound.
            if rows.iter().any(|row| row.is_stmt) {
                rows.retain(|row| row.is_stmt);
            }
        }
        let calls = self.calls()?;
        let mut lines = InstanceLines::default();
        for (line, rows) in &own {
            let points = rows.iter().map(|row| self.point(row.addr, Some(row.view)));
            lines.0.entry(*line).or_default().extend(points);
        }
        for &(line, addr) in &calls {
            lines
                .0
                .entry(line)
                .or_default()
                .push(self.point(addr, None));
        }
        // What is jumped to in the middle of a row may be bound for it.
        let mut splits: Vec<u64> = rows.iter().map(|row| row.addr).collect();
        splits.extend(calls.iter().map(|call| call.1));
        let ranges = &self.scopes.node(function).ranges;
        let graph = Graph::read(&self.scope.info, &Callees::default(), ranges, &splits);
        for block in graph.iter().flat_map(|graph| &graph.blocks) {
            let after = rows.partition_point(|row| row.addr <= block.begin);
            let Some(row) = after.checked_sub(1).map(|last| rows[last]) else {
                continue;
            };
            let is_own = own.get(&row.line).is_some_and(|rows| rows.contains(&row));
            if is_own && row.addr < block.begin {
                let points = lines.0.entry(row.line).or_default();
                points.push(self.point(block.begin, None));
            }
        }
        // A function's first row is bound behind the prologue, wherever that ends.
        let entry = self.scopes.node(function).ranges.first();
        if let Some(first) = rows
            .iter()
            .find(|row| Some(row.addr) == entry.map(|e| e.begin))
        {
            lines.0.remove(&first.line);
        }
        Ok(lines)
    }

    /// Whether a row is the instance's and near. One of what is inlined into it is the callee's.
    fn is_own(&mut self, row: &Row) -> Result<bool, Stop> {
        let info = &self.scope.info;
        if !self.lines.contains(&row.line) || !self.scopes.node(self.instance).contains(row.addr) {
            return Ok(false);
        }
        let (unit, file) = (self.unit, self.file);
        let is_file = *self
            .files
            .entry(row.file)
            .or_insert_with(|| info.file_path(unit, row.file).as_deref() == Some(file));
        Ok(is_file && owner(info, unit, self.scopes, row, row.addr)? == Some(self.instance))
    }

    /// Line and entry of each call that was inlined into the instance.
    fn calls(&self) -> Result<Vec<(u32, u64)>, Stop> {
        let mut calls = Vec::new();
        for (node, parent) in self.scopes.inlined() {
            if self.scopes.instance_of(parent) != self.instance {
                continue;
            }
            let (unit, offset) = (self.unit, self.scopes.node(node).die);
            let die = self.scope.info.die(DieRef { unit, offset })?;
            let line = die.udata(gimli::DW_AT_call_line);
            let line = line.and_then(|line| u32::try_from(line).ok());
            if let Some(line) = line.filter(|line| self.lines.contains(line))
                && let Some(entry) = self.scope.info.inlined_entry(&die)?
            {
                calls.push((line, entry));
            }
        }
        Ok(calls)
    }

    fn point(&self, addr: u64, view: Option<u32>) -> Point {
        let nodes = nodes_from(self.scopes, self.instance, addr);
        Point {
            addr,
            view,
            node: nodes.first().copied().unwrap_or(self.instance),
        }
    }
}
