use gimli::{AttributeValue, ColumnType, IncompleteLineProgram, LineProgramHeader};

use super::Result;
use super::units::{Info, Unit};
use crate::address::FileAddr;
use crate::binary::Binary;
use crate::image::Bytes;

/// A row of a line table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) addr: u64,
    /// Index in the unit's file table.
    pub(crate) file: u64,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// How many rows of the same address come before it.
    pub(crate) view: u32,
    pub(crate) is_stmt: bool,
    pub(crate) prologue_end: bool,
    /// Not a row but the first address behind the last one.
    pub(crate) end: bool,
}

/// The rows of one unit, sequences in ascending order of their addresses.
#[derive(Debug, Default)]
pub(crate) struct LineTable {
    sequences: Vec<Vec<Row>>,
}

impl LineTable {
    pub(crate) fn read(unit: &Unit<'_>, binary: &Binary) -> Result<LineTable> {
        let Some(program) = unit.line_program.clone() else {
            return Ok(LineTable::default());
        };
        let mut sequences: Vec<Vec<Row>> = Vec::new();
        each_sequence(program, binary, |sequence| {
            sequences.push(sequence.to_vec());
        });
        sequences.sort_by_key(|sequence| sequence[0].addr);
        Ok(LineTable { sequences })
    }

    /// Every row, ends of sequences left out.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sequences.iter().flatten().filter(|row| !row.end)
    }

    /// The rows of the sequence around an address that lie in `begin..end`.
    pub(crate) fn within(&self, begin: u64, end: u64) -> impl Iterator<Item = &Row> {
        self.sequences
            .iter()
            .filter(move |sequence| {
                sequence[0].addr <= begin && sequence.last().is_some_and(|last| last.addr > begin)
            })
            .flatten()
            .filter(move |row| !row.end && row.addr >= begin && row.addr < end)
    }

    /// The row that tells the line of an address: of several that begin where its own does, the
    /// last one at which a statement begins.
    pub(crate) fn statement_at(&self, addr: u64) -> Option<&Row> {
        let last = self.row_at(addr)?;
        if last.is_stmt {
            return Some(last);
        }
        let same = self.within(last.addr, last.addr + 1);
        let statement = same.filter(|row| row.is_stmt && row.line != 0).last();
        Some(statement.unwrap_or(last))
    }

    /// The row that an address belongs to: the last one at or before it.
    pub(crate) fn row_at(&self, addr: u64) -> Option<&Row> {
        let sequence = self.sequences.iter().find(|sequence| {
            sequence[0].addr <= addr && sequence.last().is_some_and(|last| last.addr > addr)
        })?;
        let after = sequence.partition_point(|row| row.addr <= addr);
        sequence.get(after.checked_sub(1)?)
    }
}

/// Calls `found` with the rows of each sequence, as the program has them. Of sequences that are not
/// ascending, or of code that the linker dropped, nothing is told.
pub(crate) fn each_sequence(
    program: IncompleteLineProgram<Bytes<'_>>,
    binary: &Binary,
    mut found: impl FnMut(&[Row]),
) {
    let mut current: Vec<Row> = Vec::new();
    let mut rows = program.rows();
    // Rows before a broken instruction are good.
    while let Ok(Some((_, row))) = rows.next_row() {
        let view = match current.last() {
            Some(Row { addr, view, .. }) if *addr == row.address() => view.saturating_add(1),
            _ => 0,
        };
        current.push(Row {
            addr: row.address(),
            view,
            file: row.file_index(),
            line: row
                .line()
                .map_or(0, |line| u32::try_from(line.get()).unwrap_or(0)),
            column: match row.column() {
                ColumnType::LeftEdge => 0,
                ColumnType::Column(column) => u32::try_from(column.get()).unwrap_or(0),
            },
            is_stmt: row.is_stmt(),
            prologue_end: row.prologue_end(),
            end: row.end_sequence(),
        });
        if row.end_sequence() {
            let ascending = current.is_sorted_by_key(|row| row.addr);
            if ascending && binary.image.segment(FileAddr(current[0].addr)).is_some() {
                found(&current);
            }
            current.clear();
        }
    }
}

impl<'a> Info<'a> {
    /// The path of a file of a unit's file table, with the directory it was compiled in.
    pub(crate) fn file_path(&self, unit: usize, file: u64) -> Option<String> {
        let data = self.unit(unit).ok()?;
        let program = data.line_program.as_ref()?;
        self.path_of(unit, &data, program.header(), file)
    }

    pub(crate) fn path_of(
        &self,
        unit: usize,
        data: &Unit<'a>,
        header: &LineProgramHeader<Bytes<'a>>,
        file: u64,
    ) -> Option<String> {
        let dwarf = self.line_dwarf_of(unit);
        let text = |value: AttributeValue<Bytes<'a>>| {
            let bytes = dwarf.attr_string(data, value).ok()?;
            Some(String::from_utf8_lossy(bytes.slice()).into_owned())
        };
        let entry = header.file(file)?;
        let mut path = text(entry.path_name())?;
        if path.starts_with('/') {
            return Some(normal_path(&path));
        }
        // Before DWARF 5 directory 0 is the compilation directory and not in the table.
        if let Some(directory) = entry.directory(header).and_then(text) {
            path = format!("{directory}/{path}");
        }
        if !path.starts_with('/')
            && let Some(directory) = data.comp_dir
        {
            path = format!("{}/{path}", String::from_utf8_lossy(directory.slice()));
        }
        Some(normal_path(&path))
    }
}

/// Whether two normal paths name one file. Units that dwz or link-time optimisation made do not
/// know the directory that they were compiled in: their paths are relative.
pub(crate) fn same_file(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let before = long.strip_suffix(short);
    before
        .is_some_and(|before| before.is_empty() || !short.starts_with('/') && before.ends_with('/'))
}

/// Without `.`, `..` and doubled slashes, as far as the text alone tells.
pub(crate) fn normal_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|&last| last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normal() {
        assert_eq!(normal_path("/a/./b//../c.c"), "/a/c.c");
        assert_eq!(normal_path("../x/y.c"), "../x/y.c");
        assert_eq!(normal_path("./y.c"), "y.c");
    }

    #[test]
    fn a_relative_path_may_be_the_end_of_another() {
        assert!(same_file("/a/b.c", "/a/b.c"));
        assert!(same_file("a/b.c", "/x/a/b.c"));
        assert!(!same_file("a/b.c", "/x/aa/b.c"));
        assert!(!same_file("/a/b.c", "/x/a/b.c"));
    }
}
