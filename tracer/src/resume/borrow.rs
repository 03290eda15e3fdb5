//! Borrowed twins: another instruction that does the same once its operands lie in registers. The
//! registers are lent for one step and given back.

use lr_probe::{Memory, MemoryFault, Register, Registers};

use super::decode::Instruction;
use super::emulated::Cpu;

/// Registers that can be the base of `modrm` with mod = 00 and no SIB byte, by their encoding:
/// rax, rcx, rdx, rbx, rsi, rdi (SDM volume 2, table 2-2; 4 is SIB, 5 is RIP-relative).
const BASES: [(u8, Register); 6] = [
    (0, Register::RAX),
    (1, Register::RCX),
    (2, Register::RDX),
    (3, Register::RBX),
    (6, Register::RSI),
    (7, Register::RDI),
];

/// What to lend for one step, and what the instruction is worth besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loan {
    register: Register,
    value: u64,
    /// Where the thread goes on: behind the instruction, or at a call's target.
    next: u64,
}

impl Loan {
    /// The loan that lets `pattern` stand for `instruction`.
    pub(crate) fn new(
        instruction: &Instruction,
        pattern: &[u8],
        cpu: &Cpu,
        memory: &mut dyn Memory,
    ) -> Option<Result<Loan, MemoryFault>> {
        if let Some(target) = instruction.call() {
            let (_, register) = push_register(pattern)?;
            // The target may be read through the register that is lent: read it before.
            let mut jumped = *cpu;
            let next = match target.run(&mut jumped, 0, memory) {
                Ok(()) => jumped.registers.get(Register::RIP),
                Err(fault) => return Some(Err(fault)),
            };
            return Some(Ok(Loan {
                register,
                value: instruction.next(),
                next,
            }));
        }
        let offset = instruction.modrm_offset()?;
        let encoding = pattern.get(offset)? & 7;
        let (_, register) = *BASES.iter().find(|(base, _)| *base == encoding)?;
        let value = instruction.rip_address()?;
        Some(Ok(Loan {
            register,
            value,
            next: instruction.next(),
        }))
    }

    /// The registers with which to step.
    pub(crate) fn lend(&self, registers: &mut Registers) {
        registers.set(self.register, self.value);
    }

    /// The registers after the step, the lent one as it was in `before`.
    pub(crate) fn give_back(&self, before: &Registers, after: &mut Registers) {
        after.set(self.register, before.get(self.register));
        after.set(Register::RIP, self.next);
    }
}

/// `push` of any register that is not the stack pointer.
pub(super) fn push_patterns() -> Vec<Vec<u8>> {
    [0x50, 0x51, 0x52, 0x53, 0x55, 0x56, 0x57]
        .iter()
        .map(|&code| vec![code])
        .collect()
}

fn push_register(pattern: &[u8]) -> Option<(u8, Register)> {
    let [code @ 0x50..=0x57] = *pattern else {
        return None;
    };
    let register = match code - 0x50 {
        5 => Register::RBP,
        encoding => BASES.iter().find(|(base, _)| *base == encoding)?.1,
    };
    Some((code, register))
}

/// The instruction with its RIP-relative operand based on a register instead, for each register
/// that it does not use otherwise.
pub(super) fn based_patterns(code: &[u8], modrm_offset: usize, used: &[Register]) -> Vec<Vec<u8>> {
    // mod = 00 and rm = 101 is RIP-relative, with a displacement of four bytes behind it.
    let Some(&modrm) = code.get(modrm_offset) else {
        return Vec::new();
    };
    if modrm_offset == 0 || modrm & 0xc7 != 0x05 || code.len() < modrm_offset + 5 {
        return Vec::new();
    }
    let mut patterns = Vec::new();
    for (encoding, register) in BASES {
        if used.contains(&register) {
            continue;
        }
        let mut pattern = code[..modrm_offset].to_vec();
        clear_base_extension(&mut pattern);
        pattern.push(modrm & 0x38 | encoding);
        pattern.extend_from_slice(&code[modrm_offset + 5..]);
        patterns.push(pattern);
    }
    patterns
}

/// A REX prefix extends the base by its lowest bit; RIP-relative operands ignore it.
fn clear_base_extension(prefixes: &mut [u8]) {
    for byte in prefixes {
        match *byte {
            0x66 | 0xf2 | 0xf3 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65 => {}
            0x40..=0x4f => {
                *byte &= !1;
                return;
            }
            _ => return,
        }
    }
}
