//! A line fires once for each time that the program passes it.

use crate::gdb::{open, passes, places};
use lr_fixtures::{Fixture, location};

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
