//! The rows that a source file has, read without anything else of the units: a file that many
//! include is in the tables of all of them, and most have no code of a line.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::info::{Info, Row, each_sequence};
use crate::resolve::file::Sources;
use crate::resolve::units::each_unit;

/// What the line tables have of a line.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Units that have rows of the line, ascending, with these rows in the order of the unit's
    /// table.
    pub(crate) units: Vec<(usize, Vec<Row>)>,
    /// The line's columns, those that were not asked for included.
    pub(crate) columns: BTreeSet<u32>,
    /// The nearest lines with code.
    pub(crate) before: Option<u32>,
    pub(crate) after: Option<u32>,
}

impl Found {
    pub(crate) fn read(
        info: &Info<'_>,
        sources: &Sources,
        line: u32,
        column: Option<u32>,
    ) -> Found {
        let units: Vec<usize> = sources.keys().copied().collect();
        let mut all = Found::default();
        // A broken line program costs its own unit only.
        for (_, part) in each_unit(info, &units, |info, unit| {
            let mut found = Found::default();
            found.read_unit(info, unit, &sources[&unit], line, column);
            Ok(found)
        }) {
            let Ok(part) = part else { continue };
            all.units.extend(part.units);
            all.columns.extend(part.columns);
            all.before = all.before.max(part.before);
            all.after = nearer(all.after, part.after);
        }
        all
    }

    fn read_unit(
        &mut self,
        info: &Info<'_>,
        unit: usize,
        files: &[u64],
        line: u32,
        column: Option<u32>,
    ) {
        let Some(program) = info.line_program(unit) else {
            return;
        };
        let mut sequences: Vec<(u64, Vec<Row>)> = Vec::new();
        each_sequence(program, info.binary, |sequence| {
            let mut rows = Vec::new();
            for row in sequence {
                if row.end || !files.contains(&row.file) {
                    continue;
                }
                if row.line < line && row.line != 0 {
                    self.before = self.before.max(Some(row.line));
                } else if row.line > line {
                    self.after = nearer(self.after, Some(row.line));
                } else if row.line == line {
                    self.columns.insert(row.column);
                    if column.is_none_or(|column| row.column == column) {
                        rows.push(*row);
                    }
                }
            }
            if !rows.is_empty() {
                sequences.push((sequence[0].addr, rows));
            }
        });
        sequences.sort_by_key(|sequence| sequence.0);
        let rows: Vec<Row> = sequences.into_iter().flat_map(|(_, rows)| rows).collect();
        if !rows.is_empty() {
            self.units.push((unit, rows));
        }
    }
}

/// The lower one of two lines that there may be.
fn nearer(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}

/// Whether a file has code: those that only declare things are in the tables, too.
pub(crate) fn has_code(info: &Info<'_>, sources: &Sources) -> bool {
    let units: Vec<usize> = sources.keys().copied().collect();
    let found = AtomicBool::new(false);
    each_unit(info, &units, |info, unit| {
        if found.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some(program) = info.line_program(unit) {
            let files = &sources[&unit];
            each_sequence(program, info.binary, |sequence| {
                let mut rows = sequence.iter().filter(|row| !row.end);
                if rows.any(|row| files.contains(&row.file)) {
                    found.store(true, Ordering::Relaxed);
                }
            });
        }
        Ok(())
    });
    found.into_inner()
}

/// The units of a file that may have calls, of a line without rows, whose code is all inlined.
pub(crate) fn callers(info: &Info<'_>, sources: &Sources, line: u32) -> Vec<usize> {
    let units: Vec<usize> = sources.keys().copied().collect();
    let asked = each_unit(info, &units, |info, unit| {
        Ok(info.may_call(unit, &sources[&unit], line))
    });
    let callers = asked.into_iter().filter(|(_, calls)| *calls == Ok(true));
    callers.map(|(unit, _)| unit).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lr_fixtures::Fixture;

    use super::*;
    use crate::binary::Binary;
    use crate::find::DebugFiles;
    use crate::resolve::file::find_file;
    use crate::resolve::pass::inlined_calls;

    /// Asks for every line of a file, and compares with what reading the units deeply says.
    fn check(info: &Info<'_>, file: &str) {
        let (_, sources) = find_file(info, file).unwrap();
        let mut by_line: BTreeMap<u32, BTreeMap<usize, Vec<Row>>> = BTreeMap::new();
        for (&unit, files) in &sources {
            for row in info.lines(unit).unwrap().rows() {
                if files.contains(&row.file) {
                    let units = by_line.entry(row.line).or_default();
                    units.entry(unit).or_default().push(*row);
                }
            }
        }
        assert!(by_line.len() > 10, "{file} has code");
        assert!(has_code(info, &sources));
        let last = *by_line.keys().next_back().unwrap();
        let (mut calls, mut spared) = (0, 0);
        for line in 1..last + 2 {
            let here = by_line.get(&line).cloned().unwrap_or_default();
            let rows = here.values().flatten();
            let found = Found::read(info, &sources, line, None);
            assert_eq!(found.columns, rows.map(|row| row.column).collect());
            let expected: Vec<(usize, Vec<Row>)> = here.into_iter().collect();
            assert_eq!(found.units, expected, "{file}:{line}");
            let below = by_line.range(1..line).next_back();
            assert_eq!(found.before, below.map(|(&line, _)| line));
            let above = by_line.range(line + 1..).next();
            assert_eq!(found.after, above.map(|(&line, _)| line));
            let may_call = callers(info, &sources, line);
            for (&unit, files) in &sources {
                let deep = inlined_calls(info, unit, files, line).unwrap();
                calls += deep.len();
                // Whose copies were dropped by the linker is known by reading them only.
                let known = may_call.contains(&unit);
                assert!(known || deep.is_empty(), "{file}:{line}");
                spared += usize::from(!known);
            }
        }
        assert!(calls > 0 && spared > 0, "{file}: {calls} calls, {spared}");
    }

    #[test]
    fn rows_and_calls_are_those_of_the_units() {
        let exe = Fixture::cpp("orders.cpp").opt('2').build();
        let opened = std::fs::File::open(&exe).unwrap();
        let binary = Binary::open_with(opened, &exe, &DebugFiles::none()).unwrap();
        let info = Info::new(&binary).unwrap();
        check(&info, "orders.cpp");
        check(&info, "stl_vector.h");
    }
}
