//! The places of a line: which of its rows a pass meets first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::address::FileAddr;
use crate::flow::{Callees, Choice, Fate, Graph, Part, choose};
use crate::info::{DieRef, Info, NodeKind, Result, Row, UnitScopes};
use crate::place::{DropReason, Dropped, Inexact, InexactReason, Resolved};
use crate::resolve::nest::{block_of, nested};
use crate::resolve::owner::owner;
use crate::resolve::prologue::{after_prologue, has_statement_markers};

/// A line in one unit.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) unit: usize,
    /// Its rows, statements or not.
    pub(crate) rows: Vec<Row>,
    /// Whether rows are bound only where a statement begins.
    pub(crate) only_statements: bool,
    pub(crate) calls: Vec<Call>,
    /// Whether landing pads are bound like other code.
    pub(crate) keeps_clean_up: bool,
}

/// A call of the line that was replaced by the callee's code.
#[derive(Debug)]
pub(crate) struct Call {
    /// The callee's instance.
    node: usize,
    /// The instance that calls.
    owner: usize,
    /// As if the call had a row.
    row: Row,
}

/// The inlined calls of a line.
pub(crate) fn inlined_calls(
    info: &Info<'_>,
    unit: usize,
    files: &[u64],
    line: u32,
) -> Result<Vec<Call>> {
    let scopes = info.scopes(unit)?;
    let mut calls = Vec::new();
    for (node, parent) in scopes.inlined() {
        let offset = scopes.node(node).die;
        let die = info.die(DieRef { unit, offset })?;
        let file = match die.attr(gimli::DW_AT_call_file) {
            Some(gimli::AttributeValue::FileIndex(file)) => Some(file),
            _ => die.udata(gimli::DW_AT_call_file),
        };
        let is_here = die.udata(gimli::DW_AT_call_line) == Some(u64::from(line))
            && file.is_some_and(|file| files.contains(&file));
        if !is_here {
            continue;
        }
        let Some(addr) = info.inlined_entry(&die)? else {
            continue;
        };
        let column = die.udata(gimli::DW_AT_call_column).unwrap_or(0);
        calls.push(Call {
            node,
            owner: scopes.instance_of(parent),
            row: Row {
                addr,
                file: file.unwrap_or(0),
                line,
                column: u32::try_from(column).unwrap_or(0),
                view: 0,
                is_stmt: true,
                prologue_end: false,
                end: false,
            },
        });
    }
    Ok(calls)
}

/// Where the passes over a line begin, and what became of its other rows.
pub(crate) fn places(info: &Info<'_>, callees: &Callees, line: &Line) -> Result<Resolved> {
    let scopes = info.scopes(line.unit)?;
    let mut finding = Finding {
        info,
        line,
        scopes: &scopes,
        found: Resolved::default(),
    };
    // Function to instances in it to the line's rows there.
    let mut functions: BTreeMap<usize, BTreeMap<usize, Vec<Row>>> = BTreeMap::new();
    for row in &line.rows {
        match owner(info, line.unit, &scopes, row, row.addr)? {
            Some(owner) => {
                let function = function_of(&scopes, owner);
                let rows = functions.entry(function).or_default();
                rows.entry(owner).or_default().push(*row);
            }
            // Assembler code has lines and no functions.
            None if finding.may_bind(row) => finding.bind(None, row, Some(row.view), row.addr)?,
            None => {}
        }
    }
    for call in &line.calls {
        let function = function_of(&scopes, call.owner);
        let rows = functions.entry(function).or_default();
        rows.entry(call.owner).or_default();
    }
    for (function, instances) in functions {
        let table = finding.table(function)?;
        let mut splits: Vec<u64> = table.iter().map(|row| row.addr).collect();
        splits.extend(line.calls.iter().map(|call| call.row.addr));
        let ranges = &scopes.node(function).ranges;
        let graph = Graph::read(info, callees, ranges, &splits);
        for (owner, rows) in instances {
            match &graph {
                Some(graph) => finding.by_flow(graph, &table, owner, &rows)?,
                None => finding.by_nest(owner, &rows)?,
            }
        }
    }
    Ok(finding.found)
}

fn function_of(scopes: &UnitScopes, node: usize) -> usize {
    scopes.outward(node).last().unwrap_or(node)
}

/// A block that begins behind the row's first instruction.
const MIDDLE: Part = Part::Statement {
    copy_of: None,
    afresh: false,
    left: false,
};

struct Finding<'a, 'i> {
    info: &'a Info<'i>,
    line: &'a Line,
    scopes: &'a UnitScopes,
    found: Resolved,
}

impl Finding<'_, '_> {
    /// Whether a row may be bound where nothing is known of how control comes to it.
    fn may_bind(&self, row: &Row) -> bool {
        row.is_stmt || !self.line.only_statements
    }

    /// All rows of a function, ascending.
    fn table(&self, function: usize) -> Result<Vec<Row>> {
        let lines = self.info.lines(self.line.unit)?;
        let mut table: Vec<Row> = Vec::new();
        for range in &self.scopes.node(function).ranges {
            table.extend(lines.within(range.begin, range.end));
        }
        table.sort_by_key(|row| (row.addr, row.view));
        Ok(table)
    }

    fn by_flow(&mut self, graph: &Graph, table: &[Row], owner: usize, rows: &[Row]) -> Result<()> {
        let function = function_of(self.scopes, owner);
        let offset = self.scopes.node(function).die;
        let unit = self.line.unit;
        let marked = has_statement_markers(self.info, DieRef { unit, offset })?;
        let markers = marked && self.line.only_statements;
        let mut calls = BTreeSet::new();
        let mut badly_begun = BTreeSet::new();
        for call in self.line.calls.iter().filter(|call| call.owner == owner) {
            let begin = call.row.addr;
            let from = table.partition_point(|row| row.addr < begin);
            let mut here = table[from..].iter().take_while(|row| row.addr == begin);
            if marked && !here.any(|row| row.is_stmt) {
                badly_begun.insert(call.node);
            } else {
                calls.insert(begin);
            }
        }
        let own = Own {
            owner,
            rows: rows.iter().map(|row| (row.addr, row.view)).collect(),
            inlined: self.line.calls.iter().map(|call| call.node).collect(),
            badly_begun: &badly_begun,
            calls: &calls,
            marked,
            markers,
            // Where statements are marked and none of the line is left, its rows are pieces that
            // were moved, and calls say more.
            only_calls: marked && !markers && !(calls.is_empty() && badly_begun.is_empty()),
        };
        let mut statements = HashMap::new();
        let mut parts = Vec::new();
        for (index, block) in graph.blocks.iter().enumerate() {
            let (part, row) = match block.begin {
                Graph::NOWHERE => (Part::Outside, None),
                begin => self.part(&own, table, begin),
            };
            parts.push(part);
            statements.extend(row.map(|row| (index, row)));
        }
        for row in rows.iter().filter(|row| markers && !row.is_stmt) {
            let dropped = dropped_row(self.info, unit, row, DropReason::NotStatement);
            self.found.dropped.push(dropped);
        }
        let keeps = self.line.keeps_clean_up || !self.has_ordinary_code(graph, owner);
        let choice = choose(graph, &parts, keeps);
        self.take(graph, owner, &choice, &statements)
    }

    /// What a block is to the line in an instance, and the row that it is bound by.
    fn part(&self, own: &Own<'_>, table: &[Row], addr: u64) -> (Part, Option<Row>) {
        let after = table.partition_point(|row| row.addr <= addr);
        let before = table[..after].partition_point(|row| row.addr < addr);
        let is_own = |row: &Row| own.rows.contains(&(row.addr, row.view));
        let here = &table[before..after];
        let counts = |row: &&Row| row.line != 0 && (row.is_stmt || !own.markers);
        // LLVM says that a statement begins where the line is another than that of the code
        // before, not of the code that control comes from.
        let may_bind = |row: &Row| (row.is_stmt || !own.markers) && !own.only_calls;
        let first = here.iter().find(|row| is_own(row) && may_bind(row));
        if let Some(first) = first {
            // Of another file are callees that were inlined and left no instruction.
            let mut rows = here
                .iter()
                .filter(|row| counts(row) && row.file == first.file);
            let copied = own.markers && first.is_stmt;
            let part = Part::Statement {
                copy_of: copied.then_some(first.column),
                afresh: rows.next().is_some_and(|row| !is_own(row)),
                left: rows.next_back().is_some_and(|row| !is_own(row)),
            };
            return (part, Some(*first));
        }
        if own.calls.contains(&addr) {
            // Where statements are marked, the callee's first is as good as the line's own.
            return match own.markers {
                true => (MIDDLE, None),
                false => (Part::Call, None),
            };
        }
        let is_marked = own.marked && here.iter().any(|row| row.is_stmt && row.line != 0);
        if let Some(callee) = self.inlined_there(own, addr) {
            return match is_marked && own.badly_begun.contains(&callee) {
                true => (Part::Callee, None),
                false => (Part::Inside, None),
            };
        }
        if own.markers && !is_marked {
            return (Part::Neutral, None);
        }
        let Some(row) = table[..after].last() else {
            return (Part::Outside, None);
        };
        if is_own(row) && !own.markers {
            // What is jumped to in the middle of a row is bound like its beginning.
            return match here.is_empty() && may_bind(row) {
                true => (MIDDLE, Some(*row)),
                false => (Part::Inside, None),
            };
        }
        match row.line {
            0 => (Part::Neutral, None),
            _ => (Part::Outside, None),
        }
    }

    /// The callee that was inlined into the line and has the code at an address.
    fn inlined_there(&self, own: &Own<'_>, addr: u64) -> Option<usize> {
        let innermost = self.scopes.innermost(addr)?;
        self.scopes
            .outward(innermost)
            .take_while(|&node| node != own.owner)
            .find(|node| own.inlined.contains(node))
    }

    /// Whether an instance has code that is not for exceptions and panics alone. The body of a
    /// destructor that was inlined into clean-up code is all that there is of that instance.
    fn has_ordinary_code(&self, graph: &Graph, owner: usize) -> bool {
        let node = self.scopes.node(owner);
        let mut blocks = graph.blocks.iter();
        blocks.any(|block| !block.cleans_up && node.contains(block.begin))
    }

    /// The inlined call of an instance that begins at an address, or else has it.
    fn call_at(&self, owner: usize, addr: u64) -> Option<&Call> {
        let calls = || self.line.calls.iter().filter(|call| call.owner == owner);
        let begins = calls().find(|call| call.row.addr == addr);
        begins.or_else(|| calls().find(|call| self.scopes.node(call.node).contains(addr)))
    }

    fn take(
        &mut self,
        graph: &Graph,
        owner: usize,
        choice: &Choice,
        statements: &HashMap<usize, Row>,
    ) -> Result<()> {
        for index in &choice.bound {
            let begin = graph.blocks[*index].begin;
            let addr = choice.instead.get(index).copied().unwrap_or(begin);
            match statements.get(index) {
                Some(row) => {
                    let view = (row.addr == addr).then_some(row.view);
                    self.bind(Some(owner), row, view, addr)?;
                }
                None => {
                    if let Some(call) = self.call_at(owner, begin) {
                        let row = call.row;
                        self.bind(Some(owner), &row, None, addr)?;
                    }
                }
            }
        }
        let addr = |index: usize| FileAddr(graph.blocks[index].begin);
        let reasons = [
            (&choice.repeats, InexactReason::Repeats),
            (&choice.shared, InexactReason::Shared),
        ];
        for (blocks, why) in reasons {
            let inexact = blocks.iter().map(|&index| Inexact {
                addr: addr(index),
                why,
            });
            self.found.inexact.extend(inexact);
        }
        for (index, fate) in &choice.dropped {
            let Some(row) = statements.get(index) else {
                continue;
            };
            let why = match *fate {
                Fate::With(by) => DropReason::SamePass { bound: addr(by) },
                Fate::MostlyWith(by) => DropReason::MostlySamePass { bound: addr(by) },
                Fate::CleanUp => DropReason::CleanUp,
            };
            if row.addr == graph.blocks[*index].begin {
                let dropped = dropped_row(self.info, self.line.unit, row, why);
                self.found.dropped.push(dropped);
            }
        }
        Ok(())
    }

    /// The same without knowing how control passes: of the rows of nested blocks the first.
    fn by_nest(&mut self, owner: usize, rows: &[Row]) -> Result<()> {
        let function = self.scopes.node(function_of(self.scopes, owner));
        let mut rows: Vec<Row> = rows.to_vec();
        rows.retain(|row| self.may_bind(row));
        if rows.is_empty() {
            let calls = self.line.calls.iter().filter(|call| call.owner == owner);
            rows.extend(calls.map(|call| call.row));
        }
        // Code that is rarely reached lies apart, and often before the rest.
        rows.sort_by_key(|row| (function.is_cold(row.addr), row.addr, row.view));
        let mut kept: Vec<(u64, usize)> = Vec::new();
        for row in rows {
            let block = block_of(self.scopes, owner, row.addr).unwrap_or(owner);
            let earlier = kept.iter().find(|kept| nested(self.scopes, kept.1, block));
            if let Some(&(earlier, _)) = earlier {
                let bound = FileAddr(earlier);
                let why = DropReason::SameBlock { bound };
                let dropped = dropped_row(self.info, self.line.unit, &row, why);
                self.found.dropped.push(dropped);
                continue;
            }
            kept.push((row.addr, block));
            self.bind(Some(owner), &row, Some(row.view), row.addr)?;
        }
        Ok(())
    }

    fn bind(
        &mut self,
        owner: Option<usize>,
        row: &Row,
        mut view: Option<u32>,
        mut addr: u64,
    ) -> Result<()> {
        let unit = self.line.unit;
        if let Some(owner) = owner {
            let node = self.scopes.node(owner);
            if node.kind == NodeKind::Function && node.ranges[0].begin == addr {
                addr = after_prologue(self.info, unit, self.scopes, owner)?;
                view = view.filter(|_| addr == row.addr);
            }
        }
        let owner = owner.map(|owner| (self.scopes, owner));
        let mut place = self.info.place(unit, addr, Some(row), owner)?;
        place.view = view;
        self.found.places.push(place);
        Ok(())
    }
}

/// One instance's share of a line.
struct Own<'a> {
    owner: usize,
    /// Addresses and views of its rows.
    rows: BTreeSet<(u64, u32)>,
    /// Instances that were inlined into the line, here or in other instances.
    inlined: BTreeSet<usize>,
    /// Where their code begins, as far as the compiler knows.
    calls: &'a BTreeSet<u64>,
    /// Those whose code begins with what was moved away from the rest of it: with no statement.
    badly_begun: &'a BTreeSet<usize>,
    /// Whether the compiler marks statements.
    marked: bool,
    /// Whether only rows that are statements say where control is.
    markers: bool,
    only_calls: bool,
}

/// A row that is not bound.
pub(crate) fn dropped_row(info: &Info<'_>, unit: usize, row: &Row, why: DropReason) -> Dropped {
    let function = info.scopes(unit).ok().and_then(|scopes| {
        let owner = owner(info, unit, &scopes, row, row.addr).ok()??;
        let offset = scopes.node(owner).die;
        info.qualified_name(DieRef { unit, offset }).ok()
    });
    Dropped {
        addr: FileAddr(row.addr),
        function: function.unwrap_or_default(),
        line: row.line,
        column: row.column,
        why,
    }
}
