use std::collections::BTreeMap;

use crate::error::LocateError;
use crate::flow::Callees;
use crate::info::{Info, Result, Row};
use crate::place::{DropReason, Resolved};
use crate::resolve::file::{Sources, find_file};
use crate::resolve::pass::{Line, inlined_calls, places};
use crate::resolve::rows::{Found, callers};
use crate::resolve::units::each_unit;

/// The places of a line: in each instance of its function, where passes over it begin.
pub(crate) fn resolve(
    info: &Info<'_>,
    file: &str,
    line: u32,
    column: Option<u32>,
) -> std::result::Result<Resolved, LocateError> {
    let (path, sources) = find_file(info, file)?;
    let found = Found::read(info, &sources, line, column);
    let mut asked = Asked {
        sources: &sources,
        line,
        calls: column.is_none(),
        only_statements: found
            .units
            .iter()
            .any(|(_, rows)| rows.iter().any(|row| row.is_stmt)),
        keeps_clean_up: false,
        units: found.units.into_iter().collect(),
    };
    if found.columns.is_empty() && column.is_none() {
        // Every instruction may be that of functions inlined there: then only their calls know
        // the line.
        let callers = callers(info, &sources, line);
        asked.units = callers.into_iter().map(|unit| (unit, Vec::new())).collect();
    }
    let mut resolved = asked.places(info)?;
    let mut reasons = resolved.dropped.iter().map(|dropped| dropped.why);
    if resolved.places.is_empty() && reasons.any(|why| why == DropReason::CleanUp) {
        // A line that has nothing else is asked for because of that.
        asked.keeps_clean_up = true;
        resolved = asked.places(info)?;
    }
    match column {
        _ if !resolved.places.is_empty() => Ok(resolved),
        Some(column) if !found.columns.is_empty() => Err(LocateError::NoSuchColumn {
            file: path,
            line,
            column,
            columns: found.columns.into_iter().collect(),
        }),
        _ => Err(LocateError::NoSuchLine {
            file: path,
            line,
            nearest: found.before.into_iter().chain(found.after).collect(),
        }),
    }
}

/// A line, and the units that are read deeply for it.
struct Asked<'a> {
    sources: &'a Sources,
    line: u32,
    /// Whether its calls count.
    calls: bool,
    only_statements: bool,
    keeps_clean_up: bool,
    /// With the line's rows.
    units: BTreeMap<usize, Vec<Row>>,
}

impl Asked<'_> {
    /// The places in all units, in the order of these.
    fn places(&self, info: &Info<'_>) -> std::result::Result<Resolved, LocateError> {
        let units: Vec<usize> = self.units.keys().copied().collect();
        let mut all = Resolved::default();
        for (_, found) in each_unit(info, &units, |info, unit| self.places_in(info, unit)) {
            let found = found.map_err(|error| bad(info, error))?;
            all.places.extend(found.places);
            all.dropped.extend(found.dropped);
            all.inexact.extend(found.inexact);
        }
        Ok(all)
    }

    fn places_in(&self, info: &Info<'_>, unit: usize) -> Result<Resolved> {
        // Nothing of the unit before is asked for again.
        info.forget();
        let calls = match self.calls {
            true => inlined_calls(info, unit, &self.sources[&unit], self.line)?,
            false => Vec::new(),
        };
        let line = Line {
            unit,
            rows: self.units[&unit].clone(),
            only_statements: self.only_statements,
            calls,
            keeps_clean_up: self.keeps_clean_up,
        };
        // What is known of callees is each unit's own: in which order they are met decides how
        // far they are read, and must not depend on which thread is faster.
        places(info, &Callees::default(), &line)
    }
}

fn bad(info: &Info<'_>, error: gimli::Error) -> LocateError {
    LocateError::BadDebugInfo {
        name: info.binary.name().display().to_string(),
        why: error.to_string(),
    }
}
