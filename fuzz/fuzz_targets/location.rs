#![no_main]
//! What is a location stays one when it is written and read again.

use libfuzzer_sys::fuzz_target;
use lr_dwarf::Location;

fuzz_target!(|text: &str| {
    if let Ok(location) = Location::parse(text) {
        let again = Location::parse(&location.to_string());
        assert_eq!(again.as_ref(), Ok(&location), "{text:?}");
    }
});
