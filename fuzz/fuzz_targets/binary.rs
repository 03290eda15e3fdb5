#![no_main]
//! ELF and DWARF of any kind: every question has an answer or an error.

use libfuzzer_sys::fuzz_target;
use lr_dwarf::{LoadBias, Source, Wanted};

/// Locations of the programs that the corpus begins with, and some that suit any file.
const LOCATIONS: [&str; 8] = [
    "seed.c:15",
    "seed.cpp:15",
    "seed.cpp:31",
    "inner",
    "zoo::Shape::area",
    "work",
    "_start+4",
    "0x401010",
];

fuzz_target!(|bytes: &[u8]| {
    let Some(binary) = lr_fuzz::open(bytes) else {
        return;
    };
    let _ = binary.debug_info();
    for location in LOCATIONS {
        for place in lr_fuzz::places(&binary, location) {
            let _ = binary.variables(&place, LoadBias(0));
            let source = Source {
                condition: Some("n > 3"),
                wanted: Wanted::Template("{n} {shape.name} {total} {self} {values[1]} {global}"),
            };
            lr_fuzz::log(&binary, &place, &source, bytes);
        }
    }
});
