//! Borrowed twins: another instruction that does the same once its operands lie in registers. The
//! registers are lent for one step and given back.

use lr_probe::{Memory, MemoryFault, Register, Registers};

use super::decode::Instruction;
use super::emulated::{Cpu, Segment};

/// Registers that can be the base of `modrm` without a SIB byte, by their encoding (SDM volume 2,
/// table 2-2; 4 means SIB, 5 RIP-relative).
const BASES: [(u8, Register); 6] = [
    (0, Register::RAX),
    (1, Register::RCX),
    (2, Register::RDX),
    (3, Register::RBX),
    (6, Register::RSI),
    (7, Register::RDI),
];

/// Bytes to look for: `head`, then any one byte if `any_displacement`, then `tail`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    pub(crate) head: Vec<u8>,
    any_displacement: bool,
    tail: Vec<u8>,
    loan: LoanPlan,
}

/// What is lent while a twin is stepped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LoanPlan {
    /// Nothing: it is the instruction itself.
    Nothing,
    /// Nothing either, and the thread goes on where the instruction leads.
    Followed,
    /// A call's return address, pushed from this register.
    Return(Register),
    /// The address of the memory operand, less a displacement.
    Base { base: Register, displacement: i8 },
    /// The same, and what is to be stored or combined there.
    Store {
        data: Register,
        base: Register,
        displacement: i8,
    },
}

/// The registers for one step, computed at a hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loan {
    lent: [Option<(Register, u64)>; 2],
    /// Where the thread goes on: behind the instruction, or at a call's target. None: where it is.
    next: Option<u64>,
}

impl Pattern {
    pub(super) fn exact(code: Vec<u8>) -> Pattern {
        Pattern {
            head: code,
            any_displacement: false,
            tail: Vec::new(),
            loan: LoanPlan::Nothing,
        }
    }

    /// The same of an instruction that transfers control.
    pub(super) fn followed(code: Vec<u8>) -> Pattern {
        Pattern {
            loan: LoanPlan::Followed,
            ..Pattern::exact(code)
        }
    }

    /// The bytes at the start of `text` if they match, and what to lend for them.
    pub(super) fn matches<'a>(&self, text: &'a [u8]) -> Option<(&'a [u8], LoanPlan)> {
        let skipped = usize::from(self.any_displacement);
        let length = self.head.len() + skipped + self.tail.len();
        let code = text.get(..length)?;
        if !code.starts_with(&self.head) || !code.ends_with(&self.tail) {
            return None;
        }
        let mut loan = self.loan;
        if let LoanPlan::Base { displacement, .. } | LoanPlan::Store { displacement, .. } =
            &mut loan
            && self.any_displacement
        {
            *displacement = code[self.head.len()].cast_signed();
        }
        Some((code, loan))
    }
}

#[cfg(test)]
impl Pattern {
    /// Bytes that match, with this displacement where there is one.
    pub(super) fn sample(&self, displacement: u8) -> (Vec<u8>, LoanPlan) {
        let mut code = self.head.clone();
        if self.any_displacement {
            code.push(displacement);
        }
        code.extend_from_slice(&self.tail);
        let (_, loan) = self.matches(&code).expect("made to match");
        (code, loan)
    }
}

impl Loan {
    /// What to lend to step a twin of `instruction` now.
    pub(crate) fn new(
        instruction: &Instruction,
        plan: LoanPlan,
        cpu: &Cpu,
        memory: &mut dyn Memory,
    ) -> Result<Loan, MemoryFault> {
        let next = Some(instruction.next());
        let operand = || {
            instruction
                .memory_operand()
                .expect("planned from its memory operand")
        };
        Ok(match plan {
            LoanPlan::Nothing => Loan {
                lent: [None, None],
                next,
            },
            LoanPlan::Followed => Loan {
                lent: [None, None],
                next: None,
            },
            LoanPlan::Return(register) => {
                // The target may be read through the register that is lent: read it before.
                let mut jumped = *cpu;
                instruction
                    .call()
                    .expect("planned from a call")
                    .run(&mut jumped, 0, memory)?;
                let target = jumped.registers.get(Register::RIP);
                Loan {
                    lent: [Some((register, instruction.next())), None],
                    next: Some(target),
                }
            }
            LoanPlan::Base { base, displacement } => {
                // A segment prefix is part of the twin and adds its base itself.
                let mut place = operand();
                place.segment = Segment::Flat;
                let value = less(cpu.address(place), displacement);
                Loan {
                    lent: [Some((base, value)), None],
                    next,
                }
            }
            LoanPlan::Store {
                data,
                base,
                displacement,
            } => {
                let stored = instruction.stored().expect("planned from a store");
                let value = cpu.stored_value(stored);
                let address = less(cpu.address(operand()), displacement);
                Loan {
                    lent: [Some((base, address)), Some((data, value))],
                    next,
                }
            }
        })
    }

    /// The registers with which to step.
    pub(crate) fn lend(&self, registers: &mut Registers) {
        for (register, value) in self.lent.into_iter().flatten() {
            registers.set(register, value);
        }
    }

    /// The registers after the step, the lent ones as they were in `before`.
    pub(crate) fn give_back(&self, before: &Registers, after: &mut Registers) {
        for (register, _) in self.lent.into_iter().flatten() {
            after.set(register, before.get(register));
        }
        if let Some(next) = self.next {
            after.set(Register::RIP, next);
        }
    }
}

fn less(address: u64, displacement: i8) -> u64 {
    address.wrapping_sub(i64::from(displacement).cast_unsigned())
}

/// `push` of a register that is not the stack pointer.
pub(super) fn call_patterns() -> Vec<Pattern> {
    let push = |&(encoding, register): &(u8, Register)| Pattern {
        loan: LoanPlan::Return(register),
        ..Pattern::exact(vec![0x50 + encoding])
    };
    BASES.iter().map(push).collect()
}

/// Where the parts of an encoded instruction with a memory operand lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Encoding {
    pub(super) modrm_offset: usize,
}

impl Encoding {
    /// Bytes of `modrm`, SIB and displacement (SDM volume 2, section 2.1.3), if the operand is
    /// memory.
    fn addressing_length(self, code: &[u8]) -> Option<usize> {
        let modrm = *code.get(self.modrm_offset)?;
        let (mode, rm) = (modrm >> 6, modrm & 7);
        let sib = mode != 3 && rm == 4;
        let base = if sib {
            *code.get(self.modrm_offset + 1)? & 7
        } else {
            rm
        };
        let displacement = match mode {
            0 if base == 5 => 4,
            0 => 0,
            1 => 1,
            2 => 4,
            _ => return None,
        };
        Some(1 + usize::from(sib) + displacement)
    }
}

/// The instruction with its memory operand based on a register alone, or with a displacement of
/// one byte, for each register that it does not use otherwise.
pub(super) fn based_patterns(code: &[u8], encoding: Encoding, used: &[Register]) -> Vec<Pattern> {
    let at = encoding.modrm_offset;
    let Some(length) = encoding.addressing_length(code) else {
        return Vec::new();
    };
    let (Some(&modrm), Some(tail)) = (code.get(at), code.get(at + length..)) else {
        return Vec::new();
    };
    let mut prefix = code[..at].to_vec();
    if !clear_address_extensions(&mut prefix) {
        return Vec::new();
    }
    let free = || {
        BASES
            .iter()
            .filter(|(_, register)| !used.contains(register))
    };
    let pattern = |mode: u8, &(encoding, base): &(u8, Register)| {
        let mut head = prefix.clone();
        head.push(mode << 6 | modrm & 0x38 | encoding);
        Pattern {
            head,
            any_displacement: mode == 1,
            tail: tail.to_vec(),
            loan: LoanPlan::Base {
                base,
                displacement: 0,
            },
        }
    };
    let plain = free().map(|base| pattern(0, base));
    plain.chain(free().map(|base| pattern(1, base))).collect()
}

/// A store or a read-modify-write operation with a register operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StoreForm {
    /// For 8 bits: `88` is `mov`, `00` is `add` and so on; one more is the wider form.
    pub(super) opcode: u8,
    pub(super) bits: u32,
    /// Atomic; what stands for it has to be, too.
    pub(super) locked: bool,
}

/// `op data, (base)` and `op data, displacement(base)` for all pairs of registers.
pub(super) fn store_patterns(form: StoreForm) -> Vec<Pattern> {
    let StoreForm {
        opcode,
        bits,
        locked,
    } = form;
    let mut prefix = if locked { vec![0xf0] } else { Vec::new() };
    match bits {
        16 => prefix.push(0x66),
        64 => prefix.push(0x48),
        _ => {}
    }
    prefix.push(if bits == 8 { opcode } else { opcode + 1 });
    let mut patterns = Vec::new();
    for mode in [0, 1] {
        for (data_encoding, data) in BASES {
            // Without REX, 8-bit encodings above 3 are ah to bh.
            if bits == 8 && data_encoding > 3 {
                continue;
            }
            for (base_encoding, base) in BASES {
                if base_encoding == data_encoding {
                    continue;
                }
                let mut head = prefix.clone();
                head.push(mode << 6 | data_encoding << 3 | base_encoding);
                let loan = LoanPlan::Store {
                    data,
                    base,
                    displacement: 0,
                };
                let any_displacement = mode == 1;
                patterns.push(Pattern {
                    loan,
                    any_displacement,
                    ..Pattern::exact(head)
                });
            }
        }
    }
    patterns
}

/// REX.B, REX.X and their VEX counterparts extend base and index, which are low registers here.
/// False for prefixes that we do not take apart (EVEX).
fn clear_address_extensions(prefix: &mut [u8]) -> bool {
    let legacy = [0x66, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];
    let Some(first) = prefix.iter().position(|byte| !legacy.contains(byte)) else {
        return true;
    };
    match prefix[first] {
        0x40..=0x4f => prefix[first] &= !3,
        // VEX of three bytes: R, X and B are inverted (SDM volume 2, section 2.3.5.3).
        0xc4 => match prefix.get_mut(first + 1) {
            Some(byte) => *byte |= 0x60,
            None => return false,
        },
        0x62 | 0x8f => return false,
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(code: &[u8], modrm_offset: usize, used: &[Register]) -> Vec<Vec<u8>> {
        based_patterns(code, Encoding { modrm_offset }, used)
            .into_iter()
            .map(|pattern| pattern.head)
            .collect()
    }

    #[test]
    fn an_operand_is_rebased() {
        // mov %rdi,0x2e29(%rip)
        let patterns = heads(&[0x48, 0x89, 0x3d, 0x29, 0x2e, 0, 0], 2, &[Register::RDI]);
        assert_eq!(patterns[0], [0x48, 0x89, 0x38]);
        assert!(!patterns.contains(&vec![0x48, 0x89, 0x3f]), "rdi is used");
        // movsd %xmm0,-0x18(%rbp,%r8,8): REX.X is cleared, SIB and displacement go.
        let patterns = heads(&[0xf2, 0x42, 0x0f, 0x11, 0x44, 0xc5, 0xe8], 4, &[]);
        assert_eq!(patterns[0], [0xf2, 0x40, 0x0f, 0x11, 0x00]);
    }

    #[test]
    fn a_displacement_of_the_twin_is_taken_into_account() {
        let patterns = based_patterns(&[0x48, 0x89, 0x07], Encoding { modrm_offset: 2 }, &[]);
        let with_displacement = patterns
            .iter()
            .find(|pattern| pattern.any_displacement)
            .unwrap();
        let (code, loan) = with_displacement
            .matches(&[0x48, 0x89, 0x40, 0xf8, 0x90])
            .unwrap();
        assert_eq!(code, [0x48, 0x89, 0x40, 0xf8]);
        assert_eq!(
            loan,
            LoanPlan::Base {
                base: Register::RAX,
                displacement: -8
            }
        );
    }
}
