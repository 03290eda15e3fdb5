//! `.debug_names` (DWARF 5 section 6.1.1), as clang writes it: what is in it, and that nothing of
//! it is believed. Why not, [`super::hints`] says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use gimli::{DebugNames, LittleEndian, SectionId};
use lr_fixtures::Fixture;
use object::{Object, ObjectSection};

use super::Kind;
use crate::binary::Binary;
use crate::find::DebugFiles;
use crate::info::{DieRef, Info};
use crate::location::Location;

fn open(file: &Path) -> Binary {
    let opened = std::fs::File::open(file).unwrap();
    Binary::open_with(opened, file, &DebugFiles::none()).unwrap()
}

fn build(program: &str) -> PathBuf {
    let fixture = Fixture::cpp(program).clang().opt('2');
    fixture.flag("-gdwarf-5").flag("-gpubnames").build()
}

/// The names and DIEs of the section.
fn listed(info: &Info<'_>) -> BTreeSet<(String, DieRef)> {
    let image = info.binary.debug_image();
    let section = image.section(SectionId::DebugNames);
    let mut headers = DebugNames::new(section.slice(), LittleEndian).headers();
    let mut all = BTreeSet::new();
    while let Some(header) = headers.next().unwrap() {
        let index = header.index().unwrap();
        for name in index.names() {
            let text = index.name_string(name, &info.dwarf.debug_str).unwrap();
            let text = String::from_utf8(text.slice().to_vec()).unwrap();
            for entry in index.name_entries(name).unwrap() {
                let entry = entry.unwrap();
                let unit = entry.compile_unit(&index).unwrap();
                let unit = unit.or(index.default_compile_unit().unwrap()).unwrap();
                let offset = entry.die_offset().unwrap().unwrap().0;
                let unit = info.own_die_at(unit.0).unwrap().unit;
                all.insert((text.clone(), DieRef { unit, offset }));
            }
        }
    }
    all
}

/// Clang's list has every function with code, and cannot show that it has: which names are
/// missing only a walk over the units tells.
#[test]
fn names_are_full_and_those_of_code() {
    for program in ["orders.cpp", "loops.cpp"] {
        let exe = build(program);
        let binary = open(&exe);
        let info = Info::new(&binary).unwrap();
        let listed = listed(&info);
        let dies: BTreeSet<DieRef> = listed.iter().map(|entry| entry.1).collect();
        let mut abstract_ones = 0;
        for (_, entries) in binary.names(&info).all() {
            for entry in entries {
                let known = dies.contains(&entry.die);
                match entry.kind {
                    Kind::Code => assert!(known, "{program}: {entry:?} has code"),
                    // By which we know that a function is there whose code is all inlined or gone.
                    Kind::Abstract => {
                        abstract_ones += 1;
                        assert!(!known, "{program}: {entry:?} has no code");
                    }
                    _ => {}
                }
            }
        }
        assert!(abstract_ones > 0, "{program}");
    }
    let exe = build("orders.cpp");
    let binary = open(&exe);
    let info = Info::new(&binary).unwrap();
    let listed = listed(&info);
    let named = |name: &str| listed.iter().any(|entry| entry.0 == name);
    assert!(named("put") && named("doubled<long>") && !named("doubled"));
    let found = binary.resolve(&Location::parse("doubled").unwrap());
    assert_eq!(found.unwrap().len(), 2);
}

/// A file that goes with the test.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What is found under names of all kinds.
fn answers(file: &Path) -> Vec<String> {
    let binary = open(file);
    let names = [
        "main",
        "Store::put",
        "doubled",
        "doubled<double>",
        "weight",
        "push_back",
        "nothing",
    ];
    let found = names.map(|name| {
        let found = binary.resolve_all(&Location::parse(name).unwrap());
        format!("{name}: {found:?}").replace(&file.display().to_string(), "FILE")
    });
    found.to_vec()
}

#[test]
fn names_that_lie_change_no_answer() {
    let exe = build("orders.cpp");
    let good = std::fs::read(&exe).unwrap();
    let elf = object::File::parse(&*good).unwrap();
    let section = elf.section_by_name(".debug_names").unwrap();
    let (begin, len) = section.file_range().unwrap();
    let begin = usize::try_from(begin).unwrap();
    let len = usize::try_from(len).unwrap();
    let expected = answers(&exe);
    let places = |answer: &&String| answer.contains("addr: FileAddr");
    assert!(expected.iter().filter(places).count() >= 5, "{expected:#?}");
    let name = format!("lr-debug-names-{}", std::process::id());
    let file = Temporary(std::env::temp_dir().join(name));
    let without = Command::new("objcopy")
        .args(["--remove-section", ".debug_names"])
        .args([&exe, &file.0])
        .output()
        .unwrap();
    assert!(without.status.success(), "{without:?}");
    assert_eq!(answers(&file.0), expected, "without the section");
    for at in (0..len).step_by((len / 16).max(1)) {
        for byte in [0, 0xff] {
            let mut bytes = good.clone();
            // From one place to the end: counts, hashes, offsets and entries in turn.
            bytes[begin + at..begin + len].fill(byte);
            std::fs::write(&file.0, &bytes).unwrap();
            assert_eq!(answers(&file.0), expected, "from {at} on {byte}");
        }
    }
}
