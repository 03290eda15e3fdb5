#![no_main]
//! Templates and conditions of any kind at a line of a program that is sound, and any memory.

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use lr_dwarf::{Binary, Place, Source, Wanted};

/// The program, named by `LR_FUZZ_PROGRAM`, and its places at `LR_FUZZ_LOCATION`.
fn program() -> &'static (Binary, Vec<Place>) {
    static PROGRAM: OnceLock<(Binary, Vec<Place>)> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = std::env::var_os("LR_FUZZ_PROGRAM").expect("cargo xtask fuzz sets it");
        let location = std::env::var("LR_FUZZ_LOCATION").expect("cargo xtask fuzz sets it");
        let bytes = std::fs::read(path).expect("the program is there");
        let binary = lr_fuzz::open(&bytes).expect("it is sound");
        let places = lr_fuzz::places(&binary, &location);
        assert!(!places.is_empty(), "{location} is a line of it");
        (binary, places)
    })
}

fuzz_target!(|input: (&str, &str, &[u8])| {
    let (condition, template, memory) = input;
    let (binary, places) = program();
    let source = Source {
        condition: (!condition.is_empty()).then_some(condition),
        wanted: Wanted::Template(template),
    };
    for place in places {
        lr_fuzz::log(binary, place, &source, memory);
    }
});
