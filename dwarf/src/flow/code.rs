use gimli::Range;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};

use crate::address::FileAddr;
use crate::image::Image;

/// The most code of one function that is read.
const MAX_CODE: u64 = 256 << 10;

/// The instructions of a function, hot and cold parts, ascending.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) instructions: Vec<Instruction>,
}

/// Where control goes after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Fall,
    Jump(u64),
    Branch(u64),
    Call(u64),
    /// Through a register or memory.
    CallIndirect,
    JumpIndirect,
    Return,
    /// Nowhere: `ud2`, `hlt`.
    Stop,
}

impl Code {
    /// `None` where the file has no such code, and where there is too much of it.
    pub(crate) fn read(image: &Image, ranges: &[Range]) -> Option<Code> {
        let mut ranges = ranges.to_vec();
        ranges.sort_by_key(|range| (range.begin, range.end));
        let mut total = 0;
        let mut instructions: Vec<Instruction> = Vec::new();
        let mut end = 0;
        for range in ranges {
            let begin = range.begin.max(end);
            let Some(len) = range.end.checked_sub(begin) else {
                continue;
            };
            total += len;
            if total > MAX_CODE {
                return None;
            }
            end = range.end;
            let bytes = image.code(FileAddr(begin), usize::try_from(len).ok()?)?;
            let mut decoder = Decoder::with_ip(64, bytes, begin, DecoderOptions::NONE);
            while decoder.can_decode() {
                instructions.push(decoder.decode());
            }
        }
        Some(Code { instructions })
    }

    /// The index of the instruction that begins at an address.
    pub(crate) fn at(&self, addr: u64) -> Option<usize> {
        self.instructions
            .binary_search_by_key(&addr, Instruction::ip)
            .ok()
    }
}

/// Where control goes after an instruction, calls aside that do not return.
pub(crate) fn next(instruction: &Instruction) -> Next {
    match instruction.flow_control() {
        FlowControl::Next | FlowControl::Interrupt => match instruction.mnemonic() {
            Mnemonic::Hlt | Mnemonic::INVALID => Next::Stop,
            _ => Next::Fall,
        },
        FlowControl::UnconditionalBranch => match near(instruction) {
            Some(target) => Next::Jump(target),
            None => Next::JumpIndirect,
        },
        FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => match near(instruction) {
            Some(target) => Next::Branch(target),
            None => Next::Fall,
        },
        FlowControl::IndirectBranch => Next::JumpIndirect,
        // iced counts system calls among the calls.
        FlowControl::Call if instruction.mnemonic() != Mnemonic::Call => Next::Fall,
        FlowControl::Call => match near(instruction) {
            Some(target) => Next::Call(target),
            None => Next::CallIndirect,
        },
        FlowControl::IndirectCall => Next::CallIndirect,
        FlowControl::Return => Next::Return,
        FlowControl::Exception => Next::Stop,
    }
}

fn near(instruction: &Instruction) -> Option<u64> {
    (instruction.op0_kind() == OpKind::NearBranch64).then(|| instruction.near_branch64())
}

/// Whether an instruction only fills space.
pub(crate) fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
        // Assemblers also fill with `xchg %ax,%ax` and `data16 cs nopw`, which are nops to iced,
        // and with zeros behind the last function.
        || instruction.is_invalid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Next) {
        let mut decoder = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE);
        assert_eq!(next(&decoder.decode()), expected, "{bytes:x?}");
    }

    #[test]
    fn where_control_goes() {
        check(&[0x90], Next::Fall);
        check(&[0xeb, 0x02], Next::Jump(0x1004));
        check(&[0xe9, 0xfb, 0xff, 0xff, 0xff], Next::Jump(0x1000));
        check(&[0x0f, 0x84, 0x10, 0, 0, 0], Next::Branch(0x1016));
        check(&[0xe2, 0xfe], Next::Branch(0x1000));
        check(&[0xe8, 0, 0, 0, 0], Next::Call(0x1005));
        check(&[0xff, 0xd0], Next::CallIndirect);
        check(&[0xff, 0x15, 0, 0, 0, 0], Next::CallIndirect);
        check(&[0x3e, 0xff, 0xe0], Next::JumpIndirect);
        check(&[0xff, 0x25, 0, 0, 0, 0], Next::JumpIndirect);
        check(&[0xf3, 0xc3], Next::Return);
        check(&[0x0f, 0x0b], Next::Stop);
        check(&[0xf4], Next::Stop);
        // A system call comes back.
        check(&[0x0f, 0x05], Next::Fall);
    }
}
