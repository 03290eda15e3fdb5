use std::collections::BTreeSet;

use crate::address::FileAddr;
use crate::error::LocateError;
use crate::info::{DieRef, Info, NodeKind, Result, Row, UnitScopes};
use crate::place::{DropReason, Dropped, Resolved};
use crate::resolve::file::find_file;
use crate::resolve::owner::owner;
use crate::resolve::prologue::{after_prologue, is_optimised};

/// The places of a line: in each instance of its function, the first of its rows.
pub(crate) fn resolve(
    info: &Info<'_>,
    file: &str,
    line: u32,
    column: Option<u32>,
) -> std::result::Result<Resolved, LocateError> {
    let (path, sources) = find_file(info, file)?;
    let mut units = Vec::new();
    let mut dropped = Vec::new();
    let mut lines = BTreeSet::new();
    let mut columns = BTreeSet::new();
    for (&unit, files) in &sources {
        // A broken line program costs its own unit only.
        let Ok(table) = info.lines(unit) else {
            continue;
        };
        let rows: Vec<Row> = table
            .rows()
            .filter(|row| files.contains(&row.file))
            .inspect(|row| _ = row.line != 0 && lines.insert(row.line))
            .filter(|row| row.line == line)
            .inspect(|row| _ = columns.insert(row.column))
            .filter(|row| column.is_none_or(|column| row.column == column))
            .copied()
            .collect();
        if !rows.is_empty() {
            units.push((unit, rows));
        }
    }
    // Rows that are not statements are the compiler's way to say: do not stop here.
    if units
        .iter()
        .any(|(_, rows)| rows.iter().any(|row| row.is_stmt))
    {
        for (unit, rows) in &mut units {
            let others = rows.iter().filter(|row| !row.is_stmt);
            for row in others {
                dropped.push(dropped_row(info, *unit, row, DropReason::NotStatement));
            }
            rows.retain(|row| row.is_stmt);
        }
    }
    if units.is_empty() && columns.is_empty() {
        // Every instruction may be that of functions inlined there: then only their calls know
        // the line.
        units.extend(sources.keys().map(|&unit| (unit, Vec::new())));
    }
    let mut places = Vec::new();
    for (unit, rows) in units {
        let calls = match column {
            None => inlined_calls(info, unit, &sources[&unit], line),
            Some(_) => Ok(Vec::new()),
        };
        let found = calls.and_then(|calls| unit_places(info, unit, &rows, calls));
        let found = found.map_err(|error| bad(info, error))?;
        places.extend(found.places);
        dropped.extend(found.dropped);
    }
    match column {
        _ if !places.is_empty() => Ok(Resolved { places, dropped }),
        Some(column) if !columns.is_empty() => Err(LocateError::NoSuchColumn {
            file: path,
            line,
            column,
            columns: columns.into_iter().collect(),
        }),
        _ => {
            let before = lines.range(..line).next_back();
            let after = lines.range(line + 1..).next();
            Err(LocateError::NoSuchLine {
                file: path,
                line,
                nearest: before.into_iter().chain(after).copied().collect(),
            })
        }
    }
}

fn bad(info: &Info<'_>, error: gimli::Error) -> LocateError {
    LocateError::BadDebugInfo {
        name: info.binary.name().display().to_string(),
        why: error.to_string(),
    }
}

/// A row with where it belongs.
struct Candidate {
    row: Row,
    owner: Option<usize>,
    /// The innermost block of the owner that the row is in.
    block: Option<usize>,
    cold: bool,
    /// Known by an inlined call of optimised code, which may begin too early: rows say more.
    weak: bool,
    /// Not of a row but of an inlined call.
    call: bool,
}

/// The calls of a line that were replaced by the callee's code, as if they had rows.
fn inlined_calls(info: &Info<'_>, unit: usize, files: &[u64], line: u32) -> Result<Vec<Candidate>> {
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
        let Some(addr) = info.inlined_entry(&die)?.filter(|_| is_here) else {
            continue;
        };
        let column = die.udata(gimli::DW_AT_call_column).unwrap_or(0);
        let function = scopes.outward(parent).last().unwrap_or(parent);
        let function = scopes.node(function).die;
        calls.push(Candidate {
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
            owner: Some(scopes.instance_of(parent)),
            block: Some(parent),
            cold: is_cold(&scopes, parent, addr),
            weak: is_optimised(
                info,
                DieRef {
                    unit,
                    offset: function,
                },
            )?,
            call: true,
        });
    }
    Ok(calls)
}

fn unit_places(
    info: &Info<'_>,
    unit: usize,
    rows: &[Row],
    calls: Vec<Candidate>,
) -> Result<Resolved> {
    let scopes = info.scopes(unit)?;
    let mut candidates = calls;
    for row in rows {
        let owner = owner(info, unit, &scopes, row, row.addr)?;
        candidates.push(Candidate {
            row: *row,
            owner,
            block: owner.and_then(|owner| block_of(&scopes, owner, row.addr)),
            cold: owner.is_some_and(|owner| is_cold(&scopes, owner, row.addr)),
            weak: false,
            call: false,
        });
    }
    // Code that is rarely reached lies apart, and often before the rest.
    candidates.sort_by_key(|candidate| (candidate.weak, candidate.cold, candidate.row.addr));
    let mut kept: Vec<Candidate> = Vec::new();
    let mut dropped = Vec::new();
    for candidate in candidates {
        let same = |earlier: &&Candidate| same_pass(&scopes, earlier, &candidate);
        match kept.iter().find(same) {
            Some(earlier) => {
                let bound = FileAddr(earlier.row.addr);
                let why = DropReason::SamePass { bound };
                dropped.push(dropped_row(info, unit, &candidate.row, why));
            }
            None => kept.push(candidate),
        }
    }
    let mut places = Vec::new();
    for candidate in kept {
        let mut addr = candidate.row.addr;
        if let Some(owner) = candidate.owner {
            let node = scopes.node(owner);
            if node.kind == NodeKind::Function && node.ranges[0].begin == addr {
                addr = after_prologue(info, unit, &scopes, owner)?;
            }
        }
        let owner = candidate.owner.map(|owner| (&*scopes, owner));
        let mut place = info.place(unit, addr, Some(&candidate.row), owner)?;
        if addr == candidate.row.addr && !candidate.call {
            place.view = Some(candidate.row.view);
        }
        places.push(place);
    }
    Ok(Resolved { places, dropped })
}

fn dropped_row(info: &Info<'_>, unit: usize, row: &Row, why: DropReason) -> Dropped {
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

fn is_cold(scopes: &UnitScopes, owner: usize, addr: u64) -> bool {
    let function = scopes.outward(owner).last().unwrap_or(owner);
    scopes.node(function).is_cold(addr)
}

fn block_of(scopes: &UnitScopes, owner: usize, addr: u64) -> Option<usize> {
    let mut block = Some(owner);
    for node in scopes.outward(scopes.innermost(addr)?) {
        if node == owner {
            return block;
        }
        // Blocks of functions that are inlined into the owner are not the owner's.
        block = Some(match scopes.node(node).kind {
            NodeKind::Block if block == Some(owner) => node,
            NodeKind::Block => block.unwrap_or(node),
            _ => owner,
        });
    }
    Some(owner)
}

/// Whether two rows of a line are passed together: in the same instance, one in a block around
/// the other's. gdb's rule is the same block, which counts `let` statements twice whose new
/// variable has a block of its own.
fn same_pass(scopes: &UnitScopes, earlier: &Candidate, later: &Candidate) -> bool {
    let (Some(earlier_block), Some(later_block)) = (earlier.block, later.block) else {
        return earlier.row.addr == later.row.addr;
    };
    earlier.owner == later.owner
        && (scopes
            .outward(later_block)
            .any(|node| node == earlier_block)
            || scopes
                .outward(earlier_block)
                .any(|node| node == later_block))
}
