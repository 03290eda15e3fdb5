//! A program's code and the addresses of its statements.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use lr_tracer::TextRange;
use object::{Object, ObjectSection, SectionKind};

/// The sections with code, and where statements begin in them.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    texts: Vec<(u64, Vec<u8>)>,
    pub(crate) statements: BTreeSet<u64>,
}

impl Program {
    /// Reads a file and, where it has no line tables itself, what Debian's packages with debug
    /// info have for its build-id.
    pub(crate) fn read(path: &Path) -> Result<Program, Box<dyn Error>> {
        let data = fs::read(path)?;
        let file = object::File::parse(&*data)?;
        let texts = file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text)
            .filter_map(|section| Some((section.address(), section.data().ok()?.to_vec())))
            .collect();
        let statements = match file.section_by_name(".debug_line") {
            Some(_) => statements(&file)?,
            None => {
                let separate = fs::read(separate(&file)?)?;
                statements(&object::File::parse(&*separate)?)?
            }
        };
        let name = path.file_name().unwrap_or_default();
        Ok(Program {
            name: name.display().to_string(),
            texts,
            statements,
        })
    }

    pub(crate) fn texts<'a>(&'a self) -> Vec<TextRange<'a>> {
        let range = |(start, bytes): &'a (u64, Vec<u8>)| TextRange {
            start: *start,
            bytes,
        };
        self.texts.iter().map(range).collect()
    }

    /// The same where all of it is loaded that much higher.
    pub(crate) fn texts_at<'a>(&'a self, bias: u64) -> Vec<TextRange<'a>> {
        let mut texts = self.texts();
        for text in &mut texts {
            text.start = text.start.wrapping_add(bias);
        }
        texts
    }

    pub(crate) fn is_c_library(&self) -> bool {
        self.name.starts_with("libc.so") || self.name.starts_with("libc-")
    }

    /// The code from an address on; line tables may speak of functions that the linker dropped.
    pub(crate) fn code_at(&self, address: u64) -> Option<&[u8]> {
        let code = self.texts.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..)
        })?;
        (!code.is_empty()).then_some(code)
    }
}

fn separate(file: &object::File<'_>) -> Result<PathBuf, Box<dyn Error>> {
    let id = file.build_id()?.ok_or("no line table and no build-id")?;
    let mut hex = String::new();
    for byte in id {
        write!(hex, "{byte:02x}")?;
    }
    let (folder, rest) = hex.split_at_checked(2).ok_or("an empty build-id")?;
    let path = format!("/usr/lib/debug/.build-id/{folder}/{rest}.debug");
    Ok(PathBuf::from(path))
}

/// The `is_stmt` addresses of every line table.
fn statements(file: &object::File<'_>) -> Result<BTreeSet<u64>, Box<dyn Error>> {
    let mut sections = BTreeMap::new();
    let ids = [
        SectionId::DebugAbbrev,
        SectionId::DebugInfo,
        SectionId::DebugLine,
        SectionId::DebugLineStr,
        SectionId::DebugStr,
        SectionId::DebugStrOffsets,
        SectionId::DebugAddr,
    ];
    for id in ids {
        if let Some(section) = file.section_by_name(id.name()) {
            sections.insert(id.name(), section.uncompressed_data()?);
        }
    }
    let dwarf = Dwarf::load(|id| {
        let data = sections.get(id.name()).map_or(&[][..], |data| data);
        Ok::<_, gimli::Error>(EndianSlice::new(data, LittleEndian))
    })?;
    let mut addresses = BTreeSet::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let Some(program) = unit.line_program.clone() else {
            continue;
        };
        let mut rows = program.rows();
        while let Some((_, row)) = rows.next_row()? {
            if row.is_stmt() && !row.end_sequence() && row.address() != 0 {
                addresses.insert(row.address());
            }
        }
    }
    Ok(addresses)
}
