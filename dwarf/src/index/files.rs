//! Source files to the units that have code of them, from the headers of line tables.

use gimli::{AttributeValue, Section};
use rustc_hash::FxHashMap;

use super::names::partition;
use super::parallel::{OnProgress, each};
use super::root::Root;
use super::table::{Table, TableBuilder};
use super::text::{Text, Texts};
use crate::binary::Binary;
use crate::image::Bytes;
use crate::info::{Info, normal_path};

/// All source files, by the last component of their paths.
#[derive(Debug)]
pub(crate) struct FileIndex {
    table: Table,
}

/// A source file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SourceFile(usize);

/// The parts of the table.
mod part {
    /// Texts of last components, then of directories with a slash at their end.
    pub(super) const TEXTS: usize = 0;
    /// Where each last component begins, and where the last one ends.
    pub(super) const NAME_STARTS: usize = 1;
    /// The first file of each last component, and the end of the last one's.
    pub(super) const FILE_STARTS: usize = 2;
    /// Begin and end of the directory's text, and the first use; one more with the last use's end.
    pub(super) const FILES: usize = 3;
    /// Unit, and index in the file table of its line table.
    pub(super) const USES: usize = 4;
    pub(super) const COUNT: usize = 5;
}

impl FileIndex {
    /// `None` where a table is not one of files.
    pub(super) fn new(table: Table) -> Option<FileIndex> {
        (table.parts() == part::COUNT).then_some(FileIndex { table })
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The last component of every path.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|name| self.name(name))
    }

    /// The files whose path has this last component, and their paths.
    pub(crate) fn called(&self, last: &[u8]) -> impl Iterator<Item = (SourceFile, String)> {
        let name = partition(self.len(), |name| self.name(name) < last);
        let is_known = name < self.len() && self.name(name) == last;
        let begin = self.table.number(part::FILE_STARTS, name) as usize;
        let end = self.table.number(part::FILE_STARTS, name + 1) as usize;
        let end = end.min(self.table.len(part::FILES) / 3);
        let files = if is_known { begin..end } else { 0..0 };
        files.map(move |file| (SourceFile(file), self.path(name, file)))
    }

    /// The units that have a file in their tables, and its indices there.
    pub(crate) fn uses(&self, file: SourceFile) -> impl Iterator<Item = (usize, u64)> {
        let begin = self.table.number(part::FILES, file.0 * 3 + 2) as usize;
        let end = self.table.number(part::FILES, file.0 * 3 + 5) as usize;
        let end = end.min(self.table.len(part::USES) / 2);
        (begin..end).map(|at| {
            let unit = self.table.number(part::USES, at * 2) as usize;
            let index = self.table.number(part::USES, at * 2 + 1);
            (unit, u64::from(index))
        })
    }

    fn len(&self) -> usize {
        self.table.len(part::FILE_STARTS).saturating_sub(1)
    }

    fn name(&self, name: usize) -> &[u8] {
        let begin = self.table.number(part::NAME_STARTS, name);
        let end = self.table.number(part::NAME_STARTS, name + 1);
        self.table.bytes(part::TEXTS, begin, end)
    }

    fn path(&self, name: usize, file: usize) -> String {
        let begin = self.table.number(part::FILES, file * 3);
        let end = self.table.number(part::FILES, file * 3 + 1);
        let directory = String::from_utf8_lossy(self.table.bytes(part::TEXTS, begin, end));
        format!("{directory}{}", String::from_utf8_lossy(self.name(name)))
    }
}

/// What one thread found.
#[derive(Default)]
struct Collected<'a> {
    directories: FxHashMap<Vec<u8>, u32>,
    /// Last component, directory, unit, index in the unit's table.
    found: Vec<(&'a [u8], u32, u32, u32)>,
    /// Bytes of headers, those that several units share counted for each.
    read: usize,
}

/// Tables may be shared, but not by so many that reading them takes for ever.
const MAX_SHARED: usize = 16;

/// Reads the headers of all line tables.
pub(super) fn read<'a>(
    binary: &'a Binary,
    info: &Info<'a>,
    progress: Option<&OnProgress>,
) -> FileIndex {
    let units: Vec<usize> = info.own_units().collect();
    let all = each(
        &units,
        |_| 1,
        progress,
        || (Info::new(binary), Collected::default()),
        |(info, collected), unit| {
            if let Ok(info) = info {
                let _ = collected.read_unit(info, unit);
            }
        },
        |(_, collected)| collected,
    );
    merge(all)
}

impl<'a> Collected<'a> {
    fn read_unit(&mut self, info: &Info<'a>, unit: usize) -> Option<()> {
        let header = info.skeleton_header(unit)?;
        let dwarf = info.line_dwarf_of(unit);
        let root = Root::read(dwarf, header)?;
        let all = dwarf.debug_line.reader().len();
        if self.read > all.saturating_mul(MAX_SHARED) {
            return None;
        }
        let program = root.line_program(dwarf, header)?;
        let texts = root.texts(dwarf, header.encoding());
        let compiled_in = texts.bytes(root.directory);
        let lines = program.header();
        self.read = self.read.saturating_add(lines.header_length());
        // Each directory's number, once a file in it was met.
        let mut numbers: FxHashMap<u64, u32> = FxHashMap::default();
        for (position, file) in lines.file_names().iter().enumerate() {
            // DWARF 5 counts files from 0, earlier versions from 1.
            let index = u32::try_from(position).ok()? + u32::from(lines.version() < 5);
            let Some(name) = attribute(&texts, file.path_name()) else {
                continue;
            };
            let unit = u32::try_from(unit).ok()?;
            if name.contains(&b'/') {
                let directory = file
                    .directory(lines)
                    .and_then(|text| attribute(&texts, text));
                let path = joined(compiled_in, directory, name);
                let (before, _) = split(&path);
                let number = self.directory(before)?;
                // The last component is what it is in the file, unless the path ends in dots.
                let last = name.rsplit(|&byte| byte == b'/').next()?;
                if path.ends_with(&String::from_utf8_lossy(last).into_owned()) {
                    self.found.push((last, number, unit, index));
                }
                continue;
            }
            let number = match numbers.get(&file.directory_index()) {
                Some(&number) => number,
                None => {
                    let directory = file
                        .directory(lines)
                        .and_then(|text| attribute(&texts, text));
                    let path = joined(compiled_in, directory, b"x");
                    let number = self.directory(split(&path).0)?;
                    numbers.insert(file.directory_index(), number);
                    number
                }
            };
            self.found.push((name, number, unit, index));
        }
        Some(())
    }

    fn directory(&mut self, directory: &str) -> Option<u32> {
        let next = u32::try_from(self.directories.len()).ok()?;
        if let Some(&known) = self.directories.get(directory.as_bytes()) {
            return Some(known);
        }
        self.directories.insert(directory.as_bytes().to_vec(), next);
        Some(next)
    }
}

fn attribute<'a>(texts: &Texts<'_, 'a>, value: AttributeValue<Bytes<'a>>) -> Option<&'a [u8]> {
    let text = match value {
        AttributeValue::String(bytes) => Text::Inline(bytes.slice()),
        AttributeValue::DebugStrRef(offset) => Text::Str(offset.0),
        AttributeValue::DebugLineStrRef(offset) => Text::LineStr(offset.0),
        AttributeValue::DebugStrRefSup(offset) => Text::Shared(offset.0),
        AttributeValue::DebugStrOffsetsIndex(index) => Text::Index(index.0),
        _ => return None,
    };
    texts.read(text)
}

/// The normal path of a file: absolute as far as the debug info knows.
fn joined(compiled_in: Option<Bytes<'_>>, directory: Option<&[u8]>, name: &[u8]) -> String {
    let mut path = String::from_utf8_lossy(name).into_owned();
    let compiled_in = compiled_in.as_ref().map(|bytes| bytes.slice());
    // Before DWARF 5 directory 0 is the compilation directory and not in the table.
    for around in [directory, compiled_in].into_iter().flatten() {
        if !path.starts_with('/') {
            path = format!("{}/{path}", String::from_utf8_lossy(around));
        }
    }
    normal_path(&path)
}

/// A path's directory with its slash, and its last component.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

fn merge(all: Vec<Collected<'_>>) -> FileIndex {
    let mut directories: Vec<Vec<u8>> = Vec::new();
    for one in &all {
        directories.extend(one.directories.keys().cloned());
    }
    directories.sort_unstable();
    directories.dedup();
    let mut found: Vec<(&[u8], u32, u32, u32)> = Vec::new();
    for one in all {
        let mut numbers = vec![0; one.directories.len()];
        for (directory, &number) in &one.directories {
            let at = directories.binary_search(directory).unwrap_or(0);
            numbers[number as usize] = u32::try_from(at).unwrap_or(0);
        }
        let renumbered = one.found.into_iter();
        found.extend(renumbered.map(|(name, directory, unit, index)| {
            (name, numbers[directory as usize], unit, index)
        }));
    }
    found.sort_unstable();
    found.dedup();
    write(&directories, &found).unwrap_or_else(|| {
        FileIndex::new(TableBuilder::new(part::COUNT).finish()).expect("it has all parts")
    })
}

/// `None` where there is more than numbers of four bytes can say.
fn write(directories: &[Vec<u8>], found: &[(&[u8], u32, u32, u32)]) -> Option<FileIndex> {
    let mut builder = TableBuilder::new(part::COUNT);
    let mut end = 0;
    let mut last: Option<&[u8]> = None;
    let mut files: Vec<(u32, u32)> = Vec::new();
    let mut last_file = None;
    for (at, &(name, directory, unit, index)) in found.iter().enumerate() {
        if last != Some(name) {
            builder.push(part::NAME_STARTS, end);
            builder.push(part::FILE_STARTS, u32::try_from(files.len()).ok()?);
            end = builder.text(part::TEXTS, name)?;
            last = Some(name);
        }
        if last_file != Some((name, directory)) {
            files.push((directory, u32::try_from(at).ok()?));
            last_file = Some((name, directory));
        }
        builder.push(part::USES, unit);
        builder.push(part::USES, index);
    }
    builder.push(part::NAME_STARTS, end);
    builder.push(part::FILE_STARTS, u32::try_from(files.len()).ok()?);
    let mut texts = Vec::new();
    for directory in directories {
        let begin = end;
        end = builder.text(part::TEXTS, directory)?;
        texts.push((begin, end));
    }
    for (directory, first) in files {
        let (begin, end) = *texts.get(directory as usize)?;
        for number in [begin, end, first] {
            builder.push(part::FILES, number);
        }
    }
    for number in [0, 0, u32::try_from(found.len()).ok()?] {
        builder.push(part::FILES, number);
    }
    FileIndex::new(builder.finish())
}
