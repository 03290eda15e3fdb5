use capstone::Capstone;
use capstone::arch::{self, BuildsCapstone};

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
    let begin = info.code_begins(address).ok_or_else(|| refused(None))?;
    match last_boundary(info, begin, address) {
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
    let capstone = Capstone::new()
        .x86()
        .mode(arch::x86::ArchMode::Mode64)
        .build()
        .expect("capstone is built with x86");
    let decoded = capstone.disasm_all(code, begin).ok()?;
    Some(
        decoded
            .last()
            .map_or(begin, |last| last.address() + last.bytes().len() as u64),
    )
}
