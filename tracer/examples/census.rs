//! How the statement addresses of a program would be resumed: which share each way has, and which
//! instructions cannot be resumed.
//!
//! `census FILE…`, files with debug info in them. Prints a row a file in Markdown, then the
//! instructions that are stepped and those that are refused, most frequent first.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use lr_tracer::{PlanError, ResumeKind, SitePlan, TextRange};
use object::{Object, ObjectSection, SectionKind};

/// Addresses of each file, spread evenly: a search for a twin reads the whole text.
const ADDRESSES: usize = 20_000;

#[derive(Default)]
struct Census {
    addresses: usize,
    ways: BTreeMap<&'static str, usize>,
    /// By mnemonic.
    stepped: BTreeMap<String, usize>,
    /// By mnemonic and reason.
    refused: BTreeMap<(String, &'static str), usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("| | addresses | emulate | twin | borrow | refused |");
    println!("|---|---|---|---|---|---|");
    let mut stepped = BTreeMap::new();
    let mut refused = BTreeMap::new();
    for path in std::env::args().skip(1) {
        let census = take(Path::new(&path)).map_err(|error| format!("{path}: {error}"))?;
        let share = |way: &str| {
            let count = census.ways.get(way).copied().unwrap_or(0);
            format!("{:.2} %", 100.0 * count as f64 / census.addresses as f64)
        };
        let name = Path::new(&path).file_name().unwrap_or_default();
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            name.display(),
            census.addresses,
            share(ResumeKind::Emulate.word()),
            share(ResumeKind::Twin.word()),
            share(ResumeKind::Borrow.word()),
            share("refused"),
        );
        for (what, count) in census.stepped {
            *stepped.entry(what).or_insert(0) += count;
        }
        for (what, count) in census.refused {
            *refused.entry(what).or_insert(0) += count;
        }
    }
    println!("\nstepped, twin or borrowed:");
    for (mnemonic, count) in by_count(stepped) {
        println!("{count:6} {mnemonic}");
    }
    println!("\nrefused:");
    for ((mnemonic, why), count) in by_count(refused) {
        println!("{count:6} {mnemonic}: {why}");
    }
    Ok(())
}

/// Most frequent first.
fn by_count<T>(counts: BTreeMap<T, usize>) -> Vec<(T, usize)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn take(path: &Path) -> Result<Census, Box<dyn Error>> {
    let data = std::fs::read(path)?;
    let file = object::File::parse(&*data)?;
    let texts: Vec<TextRange<'_>> = file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
        .filter_map(|section| {
            Some(TextRange {
                start: section.address(),
                bytes: section.data().ok()?,
            })
        })
        .collect();
    let all = statements(&file)?;
    let step = all.len().div_ceil(ADDRESSES).max(1);
    let mut census = Census::default();
    for &address in all.iter().step_by(step) {
        let Some(code) = texts.iter().find_map(|text| {
            let offset = usize::try_from(address.checked_sub(text.start)?).ok()?;
            text.bytes.get(offset..)
        }) else {
            continue;
        };
        if code.is_empty() {
            continue;
        }
        census.addresses += 1;
        let way = match SitePlan::choose(address, code, &texts, &[]) {
            Ok(plan) => {
                let way = plan.resume().word();
                if way != ResumeKind::Emulate.word() {
                    *census.stepped.entry(mnemonic(address, code)).or_default() += 1;
                }
                way
            }
            Err(PlanError::CannotResume { why, .. }) => {
                let key = (mnemonic(address, code), why);
                *census.refused.entry(key).or_default() += 1;
                "refused"
            }
            Err(PlanError::NotAnInstruction { .. }) => "refused",
        };
        *census.ways.entry(way).or_default() += 1;
    }
    Ok(census)
}

/// With its prefix.
fn mnemonic(address: u64, code: &[u8]) -> String {
    let (_, text) = lr_tracer::disassemble(address, code).unwrap_or_default();
    let mut words = text.split(' ');
    let first = words.next().unwrap_or_default();
    match first {
        "lock" | "rep" | "repne" | "repe" => {
            format!("{first} {}", words.next().unwrap_or_default())
        }
        _ => first.to_owned(),
    }
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
