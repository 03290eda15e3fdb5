use iced_x86::{Decoder, DecoderOptions};

use crate::address::FileAddr;
use crate::error::LocateError;
use crate::info::Info;

/// Whether an instruction begins at an address that a user gave. An int3 inside of one would make
/// it another instruction, which the program would run.
pub(crate) fn check(info: &Info<'_>, address: u64) -> Result<(), LocateError> {
    let refused = |begins| LocateError::NotAnInstruction {
        name: info.binary.name().display().to_string(),
        address,
        begins,
    };
    let around = info.code_around(address).ok_or_else(|| refused(None))?;
    match last_boundary(info, around.begin, address) {
        Some(boundary) if boundary == address => Ok(()),
        boundary => Err(refused(boundary)),
    }
}

/// Where the last instruction begins that does not lie wholly before `address`: x86 code can only
/// be read forwards, from a place that is known to be a beginning.
fn last_boundary(info: &Info<'_>, begin: u64, address: u64) -> Option<u64> {
    let len = usize::try_from(address.checked_sub(begin)?).ok()?;
    if len == 0 {
        return Some(begin);
    }
    let code = info.binary.image.code(FileAddr(begin), len)?;
    let mut decoder = Decoder::with_ip(64, code, begin, DecoderOptions::NONE);
    let mut end = begin;
    while decoder.can_decode() {
        let instruction = decoder.decode();
        // What is cut short by the end of the bytes reaches beyond `address`.
        if instruction.is_invalid() {
            break;
        }
        end = instruction.next_ip();
    }
    Some(end)
}
