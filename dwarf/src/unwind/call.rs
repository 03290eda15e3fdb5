use iced_x86::{Decoder, DecoderOptions, FlowControl};

use crate::address::FileAddr;
use crate::target::Target;

/// The longest call: a prefix, `FF /2`, SIB and four bytes of displacement, and one more prefix.
const MAX_CALL: u64 = 8;

/// Whether a call may return to an address, by the file's bytes.
pub(super) fn is_after_call(target: &Target<'_>, address: u64) -> bool {
    let Some(module) = target.module_at(address.wrapping_sub(1)) else {
        return false;
    };
    let module = &target.modules()[module];
    let end = module.file_addr(address).0;
    (2..=MAX_CALL).any(|len| {
        let Some(begin) = end.checked_sub(len) else {
            return false;
        };
        // At most eight.
        let len = usize::try_from(len).unwrap_or(0);
        let Some(bytes) = module.binary.bytes_at(FileAddr(begin), len) else {
            return false;
        };
        let instruction = Decoder::with_ip(64, bytes, begin, DecoderOptions::NONE).decode();
        let is_call = matches!(
            instruction.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall
        );
        is_call && instruction.len() == len
    })
}

/// Whether an address is where some code begins, to which no call returns. Whoever makes a stack
/// (makecontext(3)) puts such an address on it, for its first function to return to.
pub(super) fn is_beginning(target: &Target<'_>, address: u64) -> bool {
    let Some(module) = target.module_at(address) else {
        return false;
    };
    let addr = target.modules()[module].file_addr(address).0;
    let code = target
        .info(module)
        .and_then(|info| info.code_around(addr))
        .filter(|code| code.begin == addr);
    code.is_some() && !is_after_call(target, address)
}
