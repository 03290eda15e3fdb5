//! Instructions that change only registers and flags, computed instead of executed.

use lr_probe::{Memory, MemoryFault, Register, Registers};

use super::bits::{self, BitChange, Count, Shift};
use super::flags::{self, CF, Condition};

/// What an emulated instruction may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cpu {
    pub(crate) registers: Registers,
    pub(crate) flags: u64,
    pub(crate) fs_base: u64,
    pub(crate) gs_base: u64,
}

/// A general register, or a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gpr {
    pub(crate) register: Register,
    pub(crate) bits: u32,
    /// `ah`, `bh`, `ch`, `dh`.
    pub(crate) high: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Segment {
    Flat,
    Fs,
    Gs,
}

/// A memory operand. RIP-relative ones have become absolute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) segment: Segment,
    pub(crate) base: Option<Register>,
    pub(crate) index: Option<(Register, u64)>,
    pub(crate) displacement: u64,
    pub(crate) bits: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operand {
    Gpr(Gpr),
    /// Already sign-extended to 64 bits.
    Imm(u64),
    Mem(Place),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Alu {
    Add,
    Adc,
    Sub,
    Sbb,
    And,
    Or,
    Xor,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unary {
    Inc,
    Dec,
    Neg,
    Not,
}

/// One instruction, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Emulated {
    Nop,
    Move {
        to: Gpr,
        from: Operand,
    },
    /// `movzx`, `movsx`, `movsxd`.
    Extend {
        to: Gpr,
        from: Operand,
        signed: bool,
    },
    Lea {
        to: Gpr,
        place: Place,
    },
    /// `to` is absent for `cmp` and `test`, which only set flags.
    Alu {
        op: Alu,
        to: Option<Gpr>,
        left: Operand,
        right: Operand,
        bits: u32,
    },
    Unary {
        op: Unary,
        to: Gpr,
    },
    Jump {
        to: Operand,
    },
    JumpIf {
        condition: Condition,
        to: u64,
    },
    MoveIf {
        condition: Condition,
        to: Gpr,
        from: Operand,
    },
    SetIf {
        condition: Condition,
        to: Gpr,
    },
    Pop {
        to: Gpr,
    },
    Ret {
        extra: u64,
    },
    Leave,
    /// `cbw`, `cwde`, `cdqe`: the low half of rax, sign-extended to `bits`.
    WidenA {
        bits: u32,
    },
    /// `cwd`, `cdq`, `cqo`: the sign of rax in rdx.
    SpreadA {
        bits: u32,
    },
    Shift {
        shift: Shift,
        to: Gpr,
        count: Operand,
    },
    /// `shlx` and its like, which leave the flags alone.
    ShiftOnly {
        shift: Shift,
        to: Gpr,
        from: Operand,
        count: Operand,
    },
    /// `imul` with a register for the low half alone.
    Multiply {
        to: Gpr,
        left: Operand,
        right: Operand,
    },
    /// `mul` and `imul` of rax, with rdx for the high half.
    MultiplyA {
        from: Operand,
        bits: u32,
        signed: bool,
    },
    Count {
        count: Count,
        to: Gpr,
        from: Operand,
    },
    /// `bt`, and `bts`, `btr`, `btc` of a register.
    TestBit {
        of: Operand,
        bits: u32,
        index: Operand,
        change: Option<(Gpr, BitChange)>,
    },
    SwapBytes {
        of: Gpr,
    },
    Exchange {
        one: Gpr,
        other: Gpr,
    },
}

impl Emulated {
    /// Computes the instruction whose successor is at `next`. On a fault nothing has changed.
    pub(crate) fn run(
        &self,
        cpu: &mut Cpu,
        next: u64,
        memory: &mut dyn Memory,
    ) -> Result<(), MemoryFault> {
        let mut after = *cpu;
        after.registers.set(Register::RIP, next);
        self.apply(cpu, &mut after, memory)?;
        *cpu = after;
        Ok(())
    }

    fn apply(
        &self,
        before: &Cpu,
        after: &mut Cpu,
        memory: &mut dyn Memory,
    ) -> Result<(), MemoryFault> {
        match *self {
            Emulated::Nop => {}
            Emulated::Move { to, from } => after.write(to, before.value(from, to.bits, memory)?),
            Emulated::Extend { to, from, signed } => {
                let value = before.value(from, to.bits, memory)?;
                let bits = from.bits(to.bits);
                after.write(
                    to,
                    if signed {
                        sign_extend(value, bits)
                    } else {
                        value
                    },
                );
            }
            Emulated::Lea { to, place } => after.write(to, before.address(place)),
            Emulated::Alu {
                op,
                to,
                left,
                right,
                bits,
            } => {
                let left = before.value(left, bits, memory)?;
                let right = before.value(right, bits, memory)?;
                let (result, new) = op.compute(before.flags, left, right, bits);
                after.flags = new;
                if let Some(to) = to {
                    after.write(to, result);
                }
            }
            Emulated::Unary { op, to } => {
                let (result, new) = op.compute(before.flags, before.read(to), to.bits);
                after.flags = new;
                after.write(to, result);
            }
            Emulated::Jump { to } => {
                let target = before.value(to, 64, memory)?;
                after.jump(target)?;
            }
            Emulated::JumpIf { condition, to } => {
                if condition.holds(before.flags) {
                    after.registers.set(Register::RIP, to);
                }
            }
            Emulated::MoveIf {
                condition,
                to,
                from,
            } => {
                // The source is read, and a 32-bit destination zero-extended, in any case.
                let value = before.value(from, to.bits, memory)?;
                let holds = condition.holds(before.flags);
                after.write(to, if holds { value } else { before.read(to) });
            }
            Emulated::SetIf { condition, to } => {
                after.write(to, u64::from(condition.holds(before.flags)));
            }
            Emulated::Pop { to } => {
                let rsp = before.registers.get(Register::RSP);
                let value = before.load(memory, rsp, to.bits)?;
                let size = u64::from(to.bits / 8);
                after.registers.set(Register::RSP, rsp.wrapping_add(size));
                // `pop rsp` ends with the popped value.
                after.write(to, value);
            }
            Emulated::Ret { extra } => {
                let rsp = before.registers.get(Register::RSP);
                let target = before.load(memory, rsp, 64)?;
                after.jump(target)?;
                after
                    .registers
                    .set(Register::RSP, rsp.wrapping_add(8).wrapping_add(extra));
            }
            Emulated::Leave => {
                let frame = before.registers.get(Register::RBP);
                after
                    .registers
                    .set(Register::RBP, before.load(memory, frame, 64)?);
                after.registers.set(Register::RSP, frame.wrapping_add(8));
            }
            Emulated::WidenA { bits } => {
                let half = before.registers.get(Register::RAX) & low_mask(bits / 2);
                after.write(gpr(Register::RAX, bits), sign_extend(half, bits / 2));
            }
            Emulated::SpreadA { bits } => {
                let negative = before.registers.get(Register::RAX) >> (bits - 1) & 1 != 0;
                after.write(
                    gpr(Register::RDX, bits),
                    if negative { u64::MAX } else { 0 },
                );
            }
            Emulated::Shift { shift, to, count } => {
                let count = before.value(count, 8, memory)?;
                let (result, new) = shift.compute(before.flags, before.read(to), count, to.bits);
                after.flags = new;
                after.write(to, result);
            }
            Emulated::ShiftOnly {
                shift,
                to,
                from,
                count,
            } => {
                let value = before.value(from, to.bits, memory)?;
                let count = before.value(count, 8, memory)?;
                after.write(to, shift.result(value, count, to.bits));
            }
            Emulated::Multiply { to, left, right } => {
                let left = before.value(left, to.bits, memory)?;
                let right = before.value(right, to.bits, memory)?;
                let (low, _, new) = bits::multiply(before.flags, left, right, to.bits, true);
                after.flags = new;
                after.write(to, low);
            }
            Emulated::MultiplyA { from, bits, signed } => {
                let left = before.read(gpr(Register::RAX, bits));
                let right = before.value(from, bits, memory)?;
                let (low, high, new) = bits::multiply(before.flags, left, right, bits, signed);
                after.flags = new;
                match bits {
                    8 => after.write(gpr(Register::RAX, 16), high << 8 | low),
                    _ => {
                        after.write(gpr(Register::RAX, bits), low);
                        after.write(gpr(Register::RDX, bits), high);
                    }
                }
            }
            Emulated::Count { count, to, from } => {
                let value = before.value(from, to.bits, memory)?;
                let (result, new) = count.compute(before.flags, value, to.bits);
                after.flags = new;
                after.write(to, result);
            }
            Emulated::TestBit {
                of,
                bits,
                index,
                change,
            } => {
                let value = before.value(of, bits, memory)?;
                let index = before.value(index, bits, memory)? % u64::from(bits);
                let bit = 1 << index;
                after.flags = before.flags & !CF | flags::flag(value & bit != 0, CF);
                if let Some((to, change)) = change {
                    after.write(to, change.apply(value, bit));
                }
            }
            Emulated::SwapBytes { of } => {
                let swapped = before.read(of).swap_bytes() >> (64 - of.bits);
                after.write(of, swapped);
            }
            Emulated::Exchange { one, other } => {
                after.write(one, before.read(other));
                after.write(other, before.read(one));
            }
        }
        Ok(())
    }
}

fn gpr(register: Register, bits: u32) -> Gpr {
    Gpr {
        register,
        bits,
        high: false,
    }
}

impl Operand {
    /// Its own width; an immediate has that of the instruction.
    fn bits(&self, instruction: u32) -> u32 {
        match self {
            Operand::Gpr(gpr) => gpr.bits,
            Operand::Mem(place) => place.bits,
            Operand::Imm(_) => instruction,
        }
    }
}

impl Cpu {
    /// The value of an operand, zero-extended from its own width; immediates cut to `bits`.
    pub(super) fn value(
        &self,
        operand: Operand,
        bits: u32,
        memory: &mut dyn Memory,
    ) -> Result<u64, MemoryFault> {
        match operand {
            Operand::Gpr(gpr) => Ok(self.read(gpr)),
            Operand::Imm(value) => Ok(value & low_mask(bits)),
            Operand::Mem(place) => self.load(memory, self.address(place), place.bits),
        }
    }

    /// Reads a value as the aligned 8-byte words that it lies in, so that a value which the
    /// processor would load at once is not seen half-written.
    fn load(&self, memory: &mut dyn Memory, address: u64, bits: u32) -> Result<u64, MemoryFault> {
        let size = u64::from(bits / 8);
        // The processor faults (SDM volume 3, section 6.15, interrupt 17).
        if self.flags & flags::AC != 0 && !address.is_multiple_of(size) {
            return Err(MemoryFault { address });
        }
        let start = address & !7;
        let shift = usize::try_from(address - start).expect("below eight");
        let size = usize::try_from(size).expect("at most eight");
        let mut words = [0u8; 16];
        memory.read(start, &mut words[..8])?;
        if shift + size > 8 {
            memory.read(start.wrapping_add(8), &mut words[8..])?;
        }
        let mut value = [0u8; 8];
        value[..size].copy_from_slice(&words[shift..shift + size]);
        Ok(u64::from_le_bytes(value))
    }

    pub(crate) fn address(&self, place: Place) -> u64 {
        let segment = match place.segment {
            Segment::Flat => 0,
            Segment::Fs => self.fs_base,
            Segment::Gs => self.gs_base,
        };
        let base = place.base.map_or(0, |base| self.registers.get(base));
        let index = place.index.map_or(0, |(index, scale)| {
            self.registers.get(index).wrapping_mul(scale)
        });
        segment
            .wrapping_add(base)
            .wrapping_add(index)
            .wrapping_add(place.displacement)
    }

    /// What a store writes: a register or an immediate, never memory.
    pub(super) fn stored_value(&self, operand: Operand) -> u64 {
        match operand {
            Operand::Gpr(gpr) => self.read(gpr),
            Operand::Imm(value) => value,
            Operand::Mem(_) => unreachable!("no store has two memory operands"),
        }
    }

    fn read(&self, gpr: Gpr) -> u64 {
        let whole = self.registers.get(gpr.register);
        if gpr.high {
            whole >> 8 & 0xff
        } else {
            whole & low_mask(gpr.bits)
        }
    }

    /// Where the kernel's half begins or what is no address at all, the jump itself may fault, or
    /// what is behind it, which depends on who made the processor.
    fn jump(&mut self, target: u64) -> Result<(), MemoryFault> {
        const PROGRAMS_END: u64 = 1 << 47;
        if target >= PROGRAMS_END {
            return Err(MemoryFault { address: target });
        }
        self.registers.set(Register::RIP, target);
        Ok(())
    }

    /// Writes a register as the processor does: 32 bits clear the upper half, 8 and 16 keep the
    /// rest (SDM volume 1, section 3.4.1.1).
    fn write(&mut self, gpr: Gpr, value: u64) {
        let value = value & low_mask(gpr.bits);
        let old = self.registers.get(gpr.register);
        let new = match (gpr.bits, gpr.high) {
            (8, true) => old & !0xff00 | value << 8,
            (8 | 16, false) => old & !low_mask(gpr.bits) | value,
            _ => value,
        };
        self.registers.set(gpr.register, new);
    }
}

impl Alu {
    fn compute(self, old: u64, left: u64, right: u64, bits: u32) -> (u64, u64) {
        let carry = old & CF != 0;
        let mask = low_mask(bits);
        match self {
            Alu::Add => (
                left.wrapping_add(right) & mask,
                flags::after_add(old, left, right, false, bits),
            ),
            Alu::Adc => (
                left.wrapping_add(right).wrapping_add(u64::from(carry)) & mask,
                flags::after_add(old, left, right, carry, bits),
            ),
            Alu::Sub => (
                left.wrapping_sub(right) & mask,
                flags::after_sub(old, left, right, false, bits),
            ),
            Alu::Sbb => (
                left.wrapping_sub(right).wrapping_sub(u64::from(carry)) & mask,
                flags::after_sub(old, left, right, carry, bits),
            ),
            Alu::And => (left & right, flags::after_logic(old, left & right, bits)),
            Alu::Or => (left | right, flags::after_logic(old, left | right, bits)),
            Alu::Xor => (left ^ right, flags::after_logic(old, left ^ right, bits)),
        }
    }
}

impl Unary {
    fn compute(self, old: u64, value: u64, bits: u32) -> (u64, u64) {
        let mask = low_mask(bits);
        match self {
            Unary::Inc => {
                let new = flags::after_add(old, value, 1, false, bits);
                (value.wrapping_add(1) & mask, flags::keeping_carry(old, new))
            }
            Unary::Dec => {
                let new = flags::after_sub(old, value, 1, false, bits);
                (value.wrapping_sub(1) & mask, flags::keeping_carry(old, new))
            }
            Unary::Neg => (
                value.wrapping_neg() & mask,
                flags::after_sub(old, 0, value, false, bits),
            ),
            Unary::Not => (!value & mask, old),
        }
    }
}

pub(super) fn low_mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

pub(super) fn sign_extend(value: u64, bits: u32) -> u64 {
    let shift = 64 - bits;
    ((value << shift).cast_signed() >> shift).cast_unsigned()
}
