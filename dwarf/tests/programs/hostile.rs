//! Files that are broken: errors, never a panic, never without end.

use std::path::Path;
use std::time::{Duration, Instant};

use lr_dwarf::{Binary, DebugFiles, FileAddr, LoadBias, Location, Source, Wanted};
use lr_fixtures::{Fixture, location};
use object::{Object, ObjectSection};

/// Everything that can be asked of a file, with whatever it answers.
fn exercise(bytes: &[u8], spots: &[&str], file: &Path) {
    std::fs::write(file, bytes).unwrap();
    let opened = Binary::open_with(
        std::fs::File::open(file).unwrap(),
        file,
        &DebugFiles::none(),
    );
    let Ok(binary) = opened else { return };
    for spot in spots {
        let Ok(places) = binary.resolve(&Location::parse(spot).unwrap()) else {
            continue;
        };
        for place in places.iter().take(4) {
            let _ = binary.bytes_at(place.addr, 16);
            for template in [
                "{nothing}",
                "{e.i8} {e.name} {e.grid[1][1]} {e.color} {shadow}",
                "{o.name} {index} {total}",
            ] {
                let source = Source {
                    condition: Some("e.count > 3"),
                    wanted: Wanted::Template(template),
                };
                let _ = binary.compile(place, LoadBias(0x1000), &source);
            }
        }
    }
}

/// A generator of numbers that are the same in every run (Knuth's MMIX constants).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

fn mutate(exe: &Path, spots: &[&str], count: usize, seed: u64) {
    let original = std::fs::read(exe).unwrap();
    let elf = object::File::parse(&*original).unwrap();
    // Most of a file is code that nobody reads here: change what is read.
    let mut spans: Vec<(usize, usize)> = elf
        .sections()
        .filter(|section| {
            let name = section.name().unwrap_or_default();
            name.starts_with(".debug") && name != ".debug_str" || name.contains("eh_frame")
        })
        .filter_map(|section| section.file_range())
        .map(|(begin, len)| {
            (
                usize::try_from(begin).unwrap(),
                usize::try_from(len).unwrap(),
            )
        })
        .collect();
    assert!(spans.len() > 4, "{spans:?}");
    // The headers: of the file, the segments, the sections.
    spans.push((0, 0x400));
    let section_headers =
        usize::try_from(u64::from_le_bytes(original[0x28..0x30].try_into().unwrap())).unwrap();
    spans.push((section_headers, original.len() - section_headers));
    let file = std::env::temp_dir().join(format!("lr-hostile-{}-{seed}", std::process::id()));
    let mut numbers = Numbers(seed);
    let mut slowest = Duration::ZERO;
    for _ in 0..count {
        let mut bytes = original.clone();
        for _ in 0..=numbers.below(3) {
            let (begin, len) = spans[numbers.below(spans.len())];
            let at = begin + numbers.below(len);
            match numbers.below(4) {
                0 => bytes[at] = 0xff,
                1 => bytes[at] ^= 1 << numbers.below(8),
                2 => bytes[at] = u8::try_from(numbers.below(256)).unwrap(),
                _ => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(if numbers.below(2) == 0 { 0xff } else { 0x80 });
                }
            }
        }
        if numbers.below(20) == 0 {
            bytes.truncate(numbers.below(bytes.len()));
        }
        let begin = Instant::now();
        exercise(&bytes, spots, &file);
        slowest = slowest.max(begin.elapsed());
    }
    std::fs::remove_file(&file).unwrap();
    assert!(slowest < Duration::from_secs(60), "{slowest:?}");
}

#[test]
fn broken_debug_info_of_c() {
    let exe = Fixture::c("values.c").opt('2').build();
    let line = location("values.c", "show");
    let spots = [
        line.as_str(),
        "shadowing",
        "scaled",
        "show+3",
        "values.c:1",
        "0x1200",
    ];
    mutate(&exe, &spots, 2000, 1);
}

#[test]
fn broken_debug_info_of_cpp() {
    let exe = Fixture::cpp("values.cpp").build();
    let line = location("values.cpp", "speak");
    mutate(
        &exe,
        &[line.as_str(), "twice", "zoo::Animal::speak"],
        300,
        2,
    );
}

#[test]
fn broken_old_debug_info() {
    let exe = Fixture::c("values.c").opt('2').flag("-gdwarf-3").build();
    let line = location("values.c", "show");
    mutate(&exe, &[line.as_str(), "shadowing"], 800, 3);
}

#[test]
fn files_that_are_cut_short() {
    let original = std::fs::read(Fixture::c("values.c").build()).unwrap();
    let line = location("values.c", "show");
    let file = std::env::temp_dir().join(format!("lr-cut-{}", std::process::id()));
    for len in (0..original.len()).step_by(original.len() / 200) {
        exercise(&original[..len], &[line.as_str(), "main"], &file);
    }
    std::fs::remove_file(&file).unwrap();
}

/// A copy of a program that is cut short after something was asked of it.
fn cut_after(name: &str, ask: impl FnOnce(&Binary)) -> Binary {
    let exe = Fixture::c("values.c").build();
    let file = std::env::temp_dir().join(format!("lr-torn-{}-{name}", std::process::id()));
    lr_fixtures::copy_program(&exe, &file);
    let binary = Binary::open(std::fs::File::open(&file).unwrap(), &file).unwrap();
    ask(&binary);
    let opened = std::fs::File::options().write(true).open(&file).unwrap();
    opened.set_len(64).unwrap();
    std::fs::remove_file(&file).unwrap();
    binary
}

#[test]
fn a_file_cut_short_while_it_is_mapped_costs_an_error() {
    let line = Location::parse(&location("values.c", "show")).unwrap();
    let binary = cut_after("resolve", |_| {});
    let error = binary.resolve(&line).unwrap_err();
    assert_eq!(error.code(), "file_changed", "{error}");
    assert!(!binary.is_whole());
    // And from then on whatever is asked.
    let function = Location::parse("show").unwrap();
    assert_eq!(
        binary.resolve(&function).unwrap_err().code(),
        "file_changed"
    );

    let mut place = None;
    let binary = cut_after("compile", |binary| {
        place = binary.resolve(&line).unwrap().into_iter().next();
    });
    let source = Source {
        condition: None,
        wanted: Wanted::Template("{e.i8}"),
    };
    let compiled = binary.compile(&place.unwrap(), LoadBias(0), &source);
    let error = compiled.unwrap_err();
    assert_eq!(error.code(), "file_changed", "{error}");
    assert!(
        error
            .to_string()
            .ends_with("was cut short while it was read")
    );
}

#[test]
fn what_is_no_elf_file_says_so() {
    let code = |path: &Path| {
        let opened = Binary::open(std::fs::File::open(path).unwrap(), path);
        opened.map(|_| ()).unwrap_err().code()
    };
    assert_eq!(code(&Fixture::programs().join("values.c")), "bad_elf");
    assert_eq!(code(Path::new("/dev/null")), "unreadable_file");
    let exe = Fixture::c("values.c").build();
    let mut bytes = std::fs::read(&exe).unwrap();
    // e_machine: 183 is AArch64.
    bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
    let file = std::env::temp_dir().join(format!("lr-other-{}", std::process::id()));
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(code(&file), "not_x86_64");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn code_outside_the_file_is_not_read() {
    let exe = Fixture::c("values.c").build();
    let binary = Binary::open(std::fs::File::open(&exe).unwrap(), &exe).unwrap();
    let segment = &binary.segments()[0];
    let len = usize::try_from(segment.len).unwrap();
    assert_eq!(binary.bytes_at(segment.addr, len).unwrap().len(), len);
    assert_eq!(binary.bytes_at(segment.addr, len + 1), None);
    assert_eq!(
        binary.bytes_at(FileAddr(segment.addr.0 + segment.len), 1),
        None
    );
    assert_eq!(binary.bytes_at(FileAddr(u64::MAX), 1), None);
}
