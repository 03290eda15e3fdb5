use gimli::Range;
use iced_x86::{Decoder, DecoderOptions};

use super::activation::Activation;
use crate::address::FileAddr;
use crate::flow::{Code, Next, next};

use crate::target::Target;

/// `E8` with a displacement, `67 E8` as linkers leave it, `FF /2` relative to rip.
const CALLS: [u64; 2] = [5, 6];

/// Whether a thread stands where a call has led it and nothing of the called function has run: all
/// registers are still what the caller has in them, those too that calls need not keep.
///
/// The first instruction may be run again: by a loop that begins there, or by a function that this
/// one ended with a call of. So it has to be one of a function without such jumps.
pub(super) fn is_yet_to_begin(
    target: &Target<'_>,
    activation: &Activation<'_>,
    returns_to: u64,
) -> bool {
    let leads_here = CALLS
        .iter()
        .any(|&len| led_to(target, returns_to, len) == Some(activation.pc));
    if !leads_here {
        return false;
    }
    let Some(code) = &activation.code else {
        return false;
    };
    let ranges = match code.function() {
        Some(function) => &code.scopes.node(function).ranges,
        None => return false,
    };
    Code::read(&code.info.binary.image, ranges)
        .is_some_and(|read| runs_once(&read, ranges, activation.addr))
}

/// Where a call of so many bytes before an address leads.
fn led_to(target: &Target<'_>, returns_to: u64, len: u64) -> Option<u64> {
    let begin = returns_to.checked_sub(len)?;
    let module = &target.modules()[target.module_at(begin)?];
    let at = FileAddr(module.file_addr(begin).0);
    let bytes = module.binary.bytes_at(at, usize::try_from(len).ok()?)?;
    match destination(bytes, begin)? {
        Destination::Address(to) => Some(to),
        Destination::InWord(at) => target.word(at),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Destination {
    Address(u64),
    /// The address stands in memory.
    InWord(u64),
}

/// Where a call leads that is all of some bytes; `None` where its registers would have to be known.
fn destination(bytes: &[u8], begin: u64) -> Option<Destination> {
    let instruction = Decoder::with_ip(64, bytes, begin, DecoderOptions::NONE).decode();
    if instruction.len() != bytes.len() {
        return None;
    }
    match next(&instruction) {
        Next::Call(to) => Some(Destination::Address(to)),
        Next::CallIndirect if instruction.is_ip_rel_memory_operand() => {
            Some(Destination::InWord(instruction.ip_rel_memory_address()))
        }
        _ => None,
    }
}

/// Whether nothing in a function leads back to an address of it: no jump to it, none to elsewhere
/// or to where a register says.
fn runs_once(code: &Code, ranges: &[Range], addr: u64) -> bool {
    let is_inside = |to: u64| {
        ranges
            .iter()
            .any(|range| (range.begin..range.end).contains(&to))
    };
    code.at(addr).is_some()
        && code
            .instructions
            .iter()
            .all(|instruction| match next(instruction) {
                Next::Jump(to) | Next::Branch(to) => to != addr && is_inside(to),
                Next::JumpIndirect => false,
                _ => true,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_calls_lead() {
        let check = |bytes: &[u8], expected| assert_eq!(destination(bytes, 0x1000), expected);
        let at = |to| Some(Destination::Address(to));
        check(&[0xe8, 0xfb, 0x0f, 0, 0], at(0x2000));
        // As a linker leaves the next one where it can.
        check(&[0x67, 0xe8, 0xfa, 0x0f, 0, 0], at(0x2000));
        check(
            &[0xff, 0x15, 0xfa, 0x0f, 0, 0],
            Some(Destination::InWord(0x2000)),
        );
        // `call *%rax`, `call *0x10(%rbx)`, a jump, and a call with a byte behind it.
        check(&[0xff, 0xd0], None);
        check(&[0xff, 0x93, 0x10, 0, 0, 0], None);
        check(&[0xe9, 0xfb, 0x0f, 0, 0], None);
        check(&[0xe8, 0xfb, 0x0f, 0, 0, 0x90], None);
    }

    #[test]
    fn what_leads_back_to_the_first_instruction() {
        let check = |bytes: &[u8], expected| {
            let mut decoder = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE);
            let code = Code {
                instructions: decoder.iter().collect(),
            };
            let end = 0x1000 + u64::try_from(bytes.len()).unwrap();
            let range = Range { begin: 0x1000, end };
            assert_eq!(runs_once(&code, &[range], 0x1000), expected, "{bytes:x?}");
        };
        check(&[0x90, 0xc3], true);
        // A loop behind the first instruction.
        check(&[0x90, 0x90, 0x75, 0xfd, 0xc3], true);
        check(&[0x90, 0x75, 0xfd, 0xc3], false);
        // A call at its end, of whom may call it; by a register too.
        check(&[0x90, 0xe9, 0x10, 0, 0, 0], false);
        check(&[0x90, 0xff, 0xe0], false);
        // A call that returns to it is another one.
        check(&[0x90, 0xe8, 0xfa, 0xff, 0xff, 0xff, 0xc3], true);
    }
}
