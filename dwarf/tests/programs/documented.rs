//! The examples of docs/expressions.md, run where they say.

use std::path::Path;

use lr_dwarf::{Binary, Place};
use lr_fixtures::{Fixture, location};

use crate::gdb::{Stopped, one_place, open};

struct At {
    exe: std::path::PathBuf,
    binary: Binary,
    place: Place,
    stopped: Stopped,
}

impl At {
    fn new(fixture: Fixture, program: &str) -> At {
        let exe = fixture.build();
        let binary = open(&exe);
        let place = one_place(&binary, &location(program, "handle"));
        let stopped = Stopped::at(&exe, &place, 1);
        At {
            exe,
            binary,
            place,
            stopped,
        }
    }
}

#[test]
fn every_example_of_the_document_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/expressions.md");
    let document = std::fs::read_to_string(path).unwrap();
    let c = At::new(Fixture::c("asked.c").opt('2'), "asked.c");
    let cpp = Fixture::cpp("asked.cpp").flag("-std=c++20");
    let cpp = At::new(cpp.opt('0'), "asked.cpp");
    let rust = At::new(Fixture::rust("asked.rs").opt('2'), "asked.rs");
    let mut at: Option<&At> = None;
    let (mut wrong, mut examples) = (Vec::new(), 0);
    for line in document.lines() {
        at = match line {
            "```c" => Some(&c),
            "```cpp" => Some(&cpp),
            "```rust" => Some(&rust),
            line if line.starts_with("```") => None,
            _ => at,
        };
        let (Some(at), Some((expression, expected))) = (at, line.split_once(" → ")) else {
            continue;
        };
        examples += 1;
        let template = format!("{{{expression}}}");
        let said = at
            .stopped
            .try_message(&at.exe, &at.binary, &at.place, &template);
        let said = said.unwrap_or_else(|error| error.to_string());
        if said != expected {
            wrong.push(format!("{expression}: `{said}`, expected `{expected}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(examples > 90, "only {examples} examples were found");
}

#[test]
fn the_bounds_of_the_document_are_those_of_programs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/expressions.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, costs) = document.split_once("## What an expression costs").unwrap();
    assert_eq!(lr_probe::MAX_OPS, 4096);
    assert!(costs.contains("4,096 operations"));
    let stack = format!("{} words", lr_probe::MAX_STACK);
    assert!(costs.contains(&stack), "{stack}");
}
