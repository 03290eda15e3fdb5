//! Which function instance a row of the line table belongs to.

use crate::address::FileAddr;
use crate::info::{DieRef, Info, NodeKind, Result, Row, UnitScopes, same_file};
use crate::place::{InlinedFrame, Place, ScopeId};

/// The function or inlined instance whose source a row is.
///
/// Not the innermost one at the address: the row of a call to an inlined function often has the
/// address at which that function's own code begins.
pub(crate) fn owner(
    info: &Info<'_>,
    unit: usize,
    scopes: &UnitScopes,
    row: &Row,
    addr: u64,
) -> Result<Option<usize>> {
    let Some(innermost) = scopes.innermost(addr) else {
        return Ok(None);
    };
    let path = info.file_path(unit, row.file);
    let mut best: Option<(u64, usize)> = None;
    for node in scopes.outward(innermost) {
        if scopes.node(node).kind == NodeKind::Block {
            continue;
        }
        let offset = scopes.node(node).die;
        let Some((file, line)) = info.declared(DieRef { unit, offset })? else {
            continue;
        };
        // Functions are not nested in the source (closures are, and begin later): of those that
        // begin before the row the last is the one around it.
        if line <= u64::from(row.line)
            && path.as_ref().is_some_and(|path| same_file(path, &file))
            && best.is_none_or(|(known, _)| line > known)
        {
            best = Some((line, node));
        }
    }
    Ok(Some(match best {
        Some((_, node)) => node,
        None => match beside(info, unit, scopes, row, innermost)? {
            Some(node) => node,
            // The source of a macro: whatever is innermost.
            None => scopes.instance_of(innermost),
        },
    }))
}

/// How far the code of an instance may be from a row of it, in bytes: what is left of a statement
/// may be no instruction, and then stands beside the instance's others.
const BESIDE: u64 = 64;

/// The instance next to a row whose function begins last before it in the source, where the row is
/// of none of the functions around it.
fn beside(
    info: &Info<'_>,
    unit: usize,
    scopes: &UnitScopes,
    row: &Row,
    innermost: usize,
) -> Result<Option<usize>> {
    let Some(function) = scopes.outward(innermost).last() else {
        return Ok(None);
    };
    let path = info.file_path(unit, row.file);
    let mut best: Option<(u64, std::cmp::Reverse<u64>, usize)> = None;
    for node in scopes.inlined_in(function) {
        let distances = scopes.node(node).ranges.iter().map(|range| {
            let before = row.addr.saturating_sub(range.end);
            before.max(range.begin.saturating_sub(row.addr))
        });
        let Some(distance) = distances.min().filter(|&distance| distance <= BESIDE) else {
            continue;
        };
        let offset = scopes.node(node).die;
        let Some((file, line)) = info.declared(DieRef { unit, offset })? else {
            continue;
        };
        if line <= u64::from(row.line) && path.as_ref().is_some_and(|path| same_file(path, &file)) {
            best = best.max(Some((line, std::cmp::Reverse(distance), node)));
        }
    }
    Ok(best.map(|(_, _, node)| node))
}

impl Info<'_> {
    /// Path and line at which a function or variable is declared.
    pub(crate) fn declared(&self, at: DieRef) -> Result<Option<(String, u64)>> {
        for die in self.origins(at)? {
            let line = die.udata(gimli::DW_AT_decl_line);
            let file = match die.attr(gimli::DW_AT_decl_file) {
                Some(gimli::AttributeValue::FileIndex(file)) => Some(file),
                _ => die.udata(gimli::DW_AT_decl_file),
            };
            // An instance may repeat only one of them; the origin has both.
            if let (Some(line), Some(file)) = (line, file)
                && let Some(path) = self.file_path(die.at.unit, file)
            {
                return Ok(Some((path, line)));
            }
        }
        Ok(None)
    }

    /// The place of `addr`, which belongs to `row` and to the instance `owner`.
    pub(crate) fn place(
        &self,
        unit: usize,
        addr: u64,
        row: Option<&Row>,
        owner: Option<(&UnitScopes, usize)>,
    ) -> Result<Place> {
        let mut place = Place {
            addr: FileAddr(addr),
            function: String::new(),
            file: row
                .and_then(|row| self.file_path(unit, row.file))
                .unwrap_or_default(),
            line: row.map_or(0, |row| row.line),
            column: row.map_or(0, |row| row.column),
            inlined: Vec::new(),
            scope: None,
            view: None,
        };
        let Some((scopes, owner)) = owner else {
            return Ok(place);
        };
        let offset = scopes.node(owner).die;
        place.function = self.qualified_name(DieRef { unit, offset })?;
        let unit_offset = self.unit_offset(unit);
        place.scope = Some(ScopeId {
            unit: unit_offset,
            die: offset,
        });
        let mut instances = scopes
            .outward(owner)
            .filter(|&node| scopes.node(node).kind != NodeKind::Block)
            .peekable();
        while let Some(node) = instances.next() {
            let Some(&caller) = instances.peek() else {
                break;
            };
            let die = |node: usize| DieRef {
                unit,
                offset: scopes.node(node).die,
            };
            let call = self.die(die(node))?;
            let file = match call.attr(gimli::DW_AT_call_file) {
                Some(gimli::AttributeValue::FileIndex(file)) => Some(file),
                _ => call.udata(gimli::DW_AT_call_file),
            };
            let line = call.udata(gimli::DW_AT_call_line).unwrap_or(0);
            place.inlined.push(InlinedFrame {
                function: self.qualified_name(die(caller))?,
                file: file
                    .and_then(|file| self.file_path(unit, file))
                    .unwrap_or_default(),
                line: u32::try_from(line).unwrap_or(0),
            });
        }
        Ok(place)
    }
}
