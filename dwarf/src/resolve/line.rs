use std::collections::BTreeSet;

use crate::error::LocateError;
use crate::flow::Callees;
use crate::info::{Info, Row};
use crate::place::{DropReason, Resolved};
use crate::resolve::file::find_file;
use crate::resolve::pass::{Line, inlined_calls, places};

/// The places of a line: in each instance of its function, where passes over it begin.
pub(crate) fn resolve(
    info: &Info<'_>,
    file: &str,
    line: u32,
    column: Option<u32>,
) -> std::result::Result<Resolved, LocateError> {
    let (path, sources) = find_file(info, file)?;
    let mut units = Vec::new();
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
    let only_statements = units
        .iter()
        .any(|(_, rows)| rows.iter().any(|row| row.is_stmt));
    if units.is_empty() && columns.is_empty() {
        // Every instruction may be that of functions inlined there: then only their calls know
        // the line.
        units.extend(sources.keys().map(|&unit| (unit, Vec::new())));
    }
    let mut asked = Vec::new();
    for (unit, rows) in units {
        let calls = match column {
            None => inlined_calls(info, unit, &sources[&unit], line),
            Some(_) => Ok(Vec::new()),
        };
        asked.push(Line {
            unit,
            rows,
            only_statements,
            calls: calls.map_err(|error| bad(info, error))?,
            keeps_clean_up: false,
        });
    }
    let callees = Callees::default();
    let mut found = all_places(info, &callees, &asked)?;
    let cleans_up = |resolved: &Resolved| {
        let mut reasons = resolved.dropped.iter().map(|dropped| dropped.why);
        reasons.any(|why| why == DropReason::CleanUp)
    };
    if found.places.is_empty() && cleans_up(&found) {
        // A line that has nothing else is asked for because of that.
        for line in &mut asked {
            line.keeps_clean_up = true;
        }
        found = all_places(info, &callees, &asked)?;
    }
    match column {
        _ if !found.places.is_empty() => Ok(found),
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

fn all_places(
    info: &Info<'_>,
    callees: &Callees,
    asked: &[Line],
) -> std::result::Result<Resolved, LocateError> {
    let mut all = Resolved::default();
    for line in asked {
        let found = places(info, callees, line).map_err(|error| bad(info, error))?;
        all.places.extend(found.places);
        all.dropped.extend(found.dropped);
        all.inexact.extend(found.inexact);
    }
    Ok(all)
}

fn bad(info: &Info<'_>, error: gimli::Error) -> LocateError {
    LocateError::BadDebugInfo {
        name: info.binary.name().display().to_string(),
        why: error.to_string(),
    }
}
