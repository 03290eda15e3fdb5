#![no_main]
//! Code of any kind: a way to go on from it, or the reason why there is none.

use libfuzzer_sys::fuzz_target;
use lr_tracer::{SitePlan, TextRange};

fuzz_target!(|bytes: &[u8]| {
    let (code, text) = bytes.split_at(bytes.len().min(15));
    let texts = [TextRange {
        start: 0x40_0000,
        bytes: text,
    }];
    let _ = SitePlan::choose(0x10_0000, code, &texts, &[]);
});
