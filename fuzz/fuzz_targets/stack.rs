#![no_main]
//! Unwind tables, location expressions and types of any kind, read at some address of a program.

use libfuzzer_sys::fuzz_target;

/// In the code of the programs that the corpus begins with.
const BEGIN: u64 = 0x40_1000;

fuzz_target!(|bytes: &[u8]| {
    let Some((&at, bytes)) = bytes.split_last() else {
        return;
    };
    if let Some(binary) = lr_fuzz::open(bytes) {
        lr_fuzz::stack(binary, BEGIN + u64::from(at), bytes);
    }
});
