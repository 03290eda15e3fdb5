//! A line fires once for each time that the program passes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use lr_dwarf::{Binary, DropReason, Location};
use lr_fixtures::{Fixture, line_of, location};

use crate::gdb::{Stopped, locations_in_gdb, one_place, open, passes, places};

/// Runs a program to its end and compares how often marked lines were passed.
fn check(fixture: &Fixture, program: &str, cases: &[(&str, u64)]) {
    let exe = fixture.build();
    let binary = open(&exe);
    let mut all = Vec::new();
    let mut spans = Vec::new();
    for (marker, _) in cases {
        let places = places(&binary, &location(program, marker));
        spans.push((all.len(), all.len() + places.len()));
        all.extend(places);
    }
    let counts = passes(&exe, &all);
    let mut wrong = Vec::new();
    for ((marker, expected), (begin, end)) in cases.iter().zip(spans) {
        let sum: u64 = counts[begin..end].iter().sum();
        if sum != *expected {
            let at: Vec<_> = all[begin..end]
                .iter()
                .map(|place| (place.addr.to_string(), &place.function))
                .collect();
            wrong.push(format!(
                "{marker}: {sum} of {expected}, {:?} at {at:?}",
                &counts[begin..end]
            ));
        }
    }
    assert!(wrong.is_empty(), "{exe:?}\n{}", wrong.join("\n"));
}

fn c(level: char) {
    check(
        &Fixture::c("loops.c").opt(level),
        "loops.c",
        &[
            ("callee", 10 + 10 + 100 + 5 + 10 + 2 + 20),
            ("inlined", 5 + 6 + 10),
            ("for-call", 10),
            ("for-sum", 10),
            ("while", 10),
            ("declared", 100),
            ("nested", 100),
            ("odd", 5),
            ("even", 5),
            ("do", 10),
            ("copy", 10),
            ("case", 2),
            ("wide", 10),
        ],
    );
}

fn cpp(level: char) {
    check(
        &Fixture::cpp("loops.cpp").opt(level),
        "loops.cpp",
        &[
            ("template", 20),
            ("range", 10),
            ("guard", 10),
            ("concat", 10),
            ("guarded", 10),
            ("throw", 5),
            ("try", 5),
            ("catch", 5),
            ("lambda", 10),
            ("lambda-call", 10),
            ("unique", 10),
        ],
    );
}

fn rust(level: char) {
    check(
        &Fixture::rust("loops.rs").opt(level),
        "loops.rs",
        &[
            ("weigh", 10),
            ("callee", 10 + 10 + 10 + 5 + 10 + 10 + 10),
            ("slice", 10),
            ("format", 10),
            ("clone", 10),
            ("lens", 10),
            ("question", 10),
            ("parsed", 10),
            ("closure", 10),
            ("arm", 5),
            ("map", 10),
            ("while", 10),
            ("generic", 10),
        ],
    );
}

#[test]
fn loops_of_c() {
    c('0');
}

#[test]
fn loops_of_optimised_c() {
    c('2');
}

#[test]
fn loops_of_cpp() {
    cpp('0');
}

#[test]
fn loops_of_optimised_cpp() {
    cpp('2');
}

#[test]
fn loops_of_rust() {
    rust('0');
}

#[test]
fn loops_of_optimised_rust() {
    rust('2');
}

/// The same but for lines that the optimiser left no code of; most have some.
fn check_what_is_left(fixture: &Fixture, program: &str, cases: &[(&str, u64)]) {
    let binary = open(&fixture.build());
    let mut left = cases.to_vec();
    left.retain(|(marker, _)| {
        let parsed = Location::parse(&location(program, marker)).unwrap();
        binary.resolve(&parsed).is_ok()
    });
    // At -O1 clang gives three of twelve lines no row: what they do is part of their neighbours.
    assert!(left.len() * 4 >= cases.len() * 3, "{fixture:?}: {left:?}");
    check(fixture, program, &left);
}

fn unwinding_cpp(level: char) {
    let check = if level == '0' {
        check
    } else {
        check_what_is_left
    };
    check(
        &Fixture::cpp("unwinds.cpp").opt(level),
        "unwinds.cpp",
        &[
            // Also of those that an exception destroys.
            ("destructor", 24 + 24 + 12 + 12),
            ("text", 24),
            ("second", 24),
            ("throws", 8),
            ("returns", 16),
            ("passed-through", 12),
            ("behind", 8),
            ("brace", 8),
            ("header", 13),
            ("tried", 12),
            ("handler", 4),
            ("inner", 12),
            ("rethrows", 4),
            ("outer", 4),
            ("zero", 2),
            ("one", 4),
            ("two", 2),
            ("three", 2),
            ("four", 2),
            ("five", 2),
            ("early", 1),
        ],
    );
}

fn unwinding_rust(level: char) {
    let check = if level == '0' {
        check
    } else {
        check_what_is_left
    };
    let cases = [
        ("new", 12 + 12 + 12),
        ("drop", 12 + 12 + 12 + 12),
        ("format", 12),
        ("chain", 12),
        ("concat", 12),
        ("panics", 3),
        ("last", 9),
        ("brace", 9),
        ("question", 12),
        ("parsed", 8),
        ("catch", 12),
        ("fine", 9),
        ("panicked", 3),
        ("ok", 8),
        ("error", 4),
    ];
    check(
        &Fixture::rust("unwinds.rs").opt(level),
        "unwinds.rs",
        &cases,
    );
}

#[test]
fn exceptions_that_pass_through() {
    unwinding_cpp('0');
}

#[test]
fn exceptions_that_pass_through_optimised_code() {
    for level in ['1', '2', '3', 's'] {
        unwinding_cpp(level);
    }
}

#[test]
fn panics_that_pass_through() {
    for level in ['0', '1', '2', '3'] {
        unwinding_rust(level);
    }
}

#[test]
fn variables_exist_at_a_closing_brace() {
    for level in ['0', '2'] {
        let exe = Fixture::cpp("unwinds.cpp").opt(level).build();
        let binary = open(&exe);
        let place = one_place(&binary, &location("unwinds.cpp", "brace"));
        let stopped = Stopped::at(&exe, &place, 1);
        // The first call that does not throw has i = 1.
        // Two guards live: this function's and its caller's.
        let message = stopped.message(&binary, &place, "{live} {total}");
        let is_right = match level {
            '0' => message == "2 102",
            // gcc has moved the counting of what lives.
            _ => message.ends_with(" 102"),
        };
        assert!(is_right, "-O{level}: {message}");
    }
}

#[test]
fn clean_up_is_told_and_not_bound() {
    let exe = Fixture::rust("unwinds.rs").build();
    let binary = open(&exe);
    let mut more = 0;
    for marker in ["format", "panics", "question", "brace"] {
        let location = location("unwinds.rs", marker);
        let found = binary
            .resolve_all(&Location::parse(&location).unwrap())
            .unwrap();
        assert_eq!(found.places.len(), 1, "{marker}: {found:#x?}");
        let bound = found.places[0].addr;
        for dropped in &found.dropped {
            assert!(
                dropped.why == DropReason::CleanUp || dropped.why == DropReason::SamePass { bound },
                "{marker}: {dropped:?}"
            );
        }
        let in_gdb = locations_in_gdb(&exe, &location);
        println!("{marker}: gdb takes {in_gdb}");
        assert!(in_gdb >= found.places.len());
        more += usize::from(in_gdb > 1);
    }
    assert!(more > 0, "gdb is as good");
}

#[test]
fn loops_of_clang() {
    for level in ['0', '1', '2'] {
        // One that LLVM unrolls is left out.
        let cases = [
            ("callee", 10 + 10 + 100 + 5 + 10 + 2 + 20),
            ("for-call", 10),
            ("while", 10),
            ("nested", 100),
            ("odd", 5),
            ("even", 5),
            ("do", 10),
            ("copy", 10),
            ("case", 2),
            ("wide", 10),
        ];
        let fixture = Fixture::c("loops.c").clang().opt(level);
        check_what_is_left(&fixture, "loops.c", &cases);
        let cases = [
            ("text", 24),
            ("throws", 8),
            ("returns", 16),
            ("passed-through", 12),
            ("brace", 8),
            ("header", 13),
            ("handler", 4),
            ("rethrows", 4),
            ("outer", 4),
            ("zero", 2),
            ("one", 4),
            ("early", 1),
        ];
        let fixture = Fixture::cpp("unwinds.cpp").clang().opt(level);
        check_what_is_left(&fixture, "unwinds.cpp", &cases);
    }
}

/// What gcov counts for each line of a program, by its first mention.
fn coverage(fixture: &Fixture, compiler: &str) -> BTreeMap<u32, u64> {
    let folder = std::env::temp_dir().join(format!(
        "lr-coverage-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    fs::create_dir_all(&folder).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let source = fixture.source();
    let source = source.to_str().unwrap();
    run(compiler, &["-O0", "--coverage", "-o", "covered", source]);
    run("./covered", &[]);
    let data = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.ends_with(".gcda"))
        .expect("a program built with --coverage counts");
    let text = run("gcov", &["-t", &data]);
    fs::remove_dir_all(&folder).unwrap();
    let mut counts = BTreeMap::new();
    let own = Path::new(source).file_name().unwrap().to_str().unwrap();
    let mut is_own = false;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(count), Some(number), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if number.trim() == "0" {
            is_own = match rest.strip_prefix("Source:") {
                Some(path) => path.ends_with(own),
                None => is_own,
            };
        } else if is_own
            && let Ok(number) = number.trim().parse()
            && let Ok(count) = count.trim().trim_end_matches('*').parse()
        {
            counts.entry(number).or_insert(count);
        }
    }
    assert!(counts.len() > 30, "{text}");
    counts
}

/// Compares each executed line of a program with gcov's count of the same run; `known` lines are
/// left out. Returns how many agree, of how many.
fn agreement(fixture: &Fixture, counts: &BTreeMap<u32, u64>, known: &[u32]) -> (usize, usize) {
    let exe = fixture.build();
    let binary: Binary = open(&exe);
    let source = fixture.source();
    let name = source.file_name().unwrap().to_str().unwrap();
    let mut all = Vec::new();
    let mut spans = Vec::new();
    for (&line, &count) in counts.iter().filter(|(line, _)| !known.contains(line)) {
        let location = Location::parse(&format!("{name}:{line}")).unwrap();
        let Ok(found) = binary.resolve(&location) else {
            continue;
        };
        let begin = all.len();
        all.extend(found);
        spans.push((line, count, begin..all.len()));
    }
    let passed = passes(&exe, &all);
    let mut agree = 0;
    for (line, count, span) in &spans {
        let sum: u64 = passed[span.clone()].iter().sum();
        agree += usize::from(sum == *count);
        if sum != *count {
            println!("{name}:{line}: {sum} of {count}");
        }
    }
    (agree, spans.len())
}

#[test]
fn lines_are_passed_as_often_as_gcov_says() {
    let brace = |marker: &str| line_of("unwinds.cpp", marker);
    let cases = [
        // gcov counts a line twice that is the second of a statement.
        (
            Fixture::c("loops.c"),
            "gcc",
            vec![line_of("loops.c", "wide") + 1],
        ),
        (Fixture::cpp("loops.cpp"), "g++", vec![]),
        // gcov counts clean-up.
        (
            Fixture::cpp("unwinds.cpp"),
            "g++",
            vec![brace("returns") + 1, brace("brace"), brace("catch")],
        ),
    ];
    for (fixture, compiler, known) in cases {
        let counts = coverage(&fixture, compiler);
        let (agree, all) = agreement(&fixture, &counts, &known);
        assert_eq!(agree, all, "{fixture:?} -O0");
        for level in ['1', '2', 's'] {
            // What the optimiser merged, moved or left no code of is not passed as often.
            let optimised = fixture.clone().opt(level);
            let (agree, all) = agreement(&optimised, &counts, &known);
            println!("{fixture:?} -O{level}: {agree} of {all}");
            assert!(
                agree * 100 >= all * 85,
                "{fixture:?} -O{level}: {agree} of {all}"
            );
        }
    }
}
