use core::cmp::Ordering;

use crate::field::FieldWriter;
use crate::op::{ContextWord, Op, Reason, TextAt};
use crate::program::Program;
use crate::registers::Registers;
use crate::text::{Side, ThreadName, order};
use crate::verify::MAX_STACK;

/// Bytes of one page: an unreadable page must not cost the readable one before it.
const PAGE: u64 = 4096;
/// Addresses below this are null pointers and their members.
const NULL_PAGE: u64 = 4096;
/// Longest string that a comparison looks at in one piece.
const COMPARE_CHUNK: usize = 64;

/// The address that could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryFault {
    pub address: u64,
}

/// The memory of a target.
pub trait Memory {
    /// Fills `out` from `address`; all of it or a fault.
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault>;

    /// Whether nothing can be read any more, whatever the address.
    fn is_closed(&self) -> bool {
        false
    }

    /// Eight bytes of a vector register that [`Registers`] has no room for: those of `ymm0` and
    /// `zmm0` on, above the lower two, and all of `zmm16` on. `None` where nobody knows them.
    /// Asked for when an operation comes to it, since few programs have one.
    fn wide_lane(&mut self, _register: u8, _lane: u8) -> Option<u64> {
        None
    }
}

/// What one run may use up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Bytes of target memory.
    pub bytes: u32,
}

/// What the engine knows of this hit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Context {
    pub pid: u32,
    pub tid: u32,
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    pub hits: u64,
    /// Empty where [`Program::needs_thread_name`] says that nobody asks for it.
    pub thread: ThreadName,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The condition held, or there was none; so many bytes of fields were written.
    Matched {
        bytes: usize,
    },
    False,
    /// The condition could not be evaluated.
    ConditionError(Reason),
}

/// Runs a program at a hit. Never fails: what cannot be read becomes a reason.
pub fn run(
    program: &Program,
    registers: &Registers,
    context: &Context,
    memory: &mut dyn Memory,
    budget: Budget,
    out: &mut [u8],
) -> Outcome {
    let mut machine = Machine {
        program,
        registers,
        context,
        memory,
        budget,
        writer: FieldWriter::new(out),
        stack: [0; MAX_STACK],
        depth: 0,
    };
    machine.run()
}

/// What an operation makes of constants, its operands in the order they were pushed; `None` where
/// it depends on anything else, or has no value.
pub fn constant(op: Op, operands: &[u64]) -> Option<u64> {
    Some(match (op, operands) {
        (Op::Extend { bits, signed }, &[value]) => extend(value, bits, signed),
        (Op::Neg, &[value]) => value.wrapping_neg(),
        (Op::Not, &[value]) => !value,
        (Op::IsZero, &[value]) => u64::from(value == 0),
        (Op::FNeg, &[value]) => (-f64::from_bits(value)).to_bits(),
        (Op::RoundToF32, &[value]) => round_to_f32(f64::from_bits(value)).to_bits(),
        (Op::IntToF32 { signed }, &[value]) => int_to_f32(value, signed).to_bits(),
        (Op::IntToF64 { signed }, &[value]) => int_to_f64(value, signed).to_bits(),
        (Op::F64ToInt { signed }, &[value]) => f64_to_int(f64::from_bits(value), signed),
        (Op::Clamp { bits, signed }, &[value]) => clamp(value, bits, signed),
        (op, &[a, b]) if is_binary(op) => apply(op, a, b),
        (Op::DivU | Op::DivS | Op::RemU | Op::RemS, &[a, b]) => quotient(op, a, b)?,
        _ => return None,
    })
}

fn is_binary(op: Op) -> bool {
    matches!(
        op,
        Op::Add
            | Op::Sub
            | Op::Mul
            | Op::And
            | Op::Or
            | Op::Xor
            | Op::Shl
            | Op::Shr
            | Op::Sar
            | Op::Eq
            | Op::Ne
            | Op::LtU
            | Op::LtS
            | Op::LeU
            | Op::LeS
            | Op::FAdd
            | Op::FSub
            | Op::FMul
            | Op::FDiv
            | Op::FEq
            | Op::FNe
            | Op::FLt
            | Op::FLe
    )
}

fn quotient(op: Op, a: u64, b: u64) -> Option<u64> {
    if b == 0 {
        return None;
    }
    let (signed_a, signed_b) = (a.cast_signed(), b.cast_signed());
    Some(match op {
        Op::DivU => a / b,
        Op::DivS => signed_a.wrapping_div(signed_b).cast_unsigned(),
        Op::RemU => a % b,
        _ => signed_a.wrapping_rem(signed_b).cast_unsigned(),
    })
}

struct Fault {
    reason: Reason,
    address: u64,
}

impl From<Reason> for Fault {
    fn from(reason: Reason) -> Fault {
        Fault { reason, address: 0 }
    }
}

impl From<MemoryFault> for Fault {
    fn from(fault: MemoryFault) -> Fault {
        let reason = if fault.address < NULL_PAGE {
            Reason::Null
        } else {
            Reason::Unreadable
        };
        Fault {
            reason,
            address: fault.address,
        }
    }
}

impl From<(Reason, u64)> for Fault {
    fn from((reason, address): (Reason, u64)) -> Fault {
        Fault { reason, address }
    }
}

enum Step {
    Next,
    Goto(usize),
    Refused,
}

struct Machine<'a> {
    program: &'a Program,
    registers: &'a Registers,
    context: &'a Context,
    memory: &'a mut dyn Memory,
    budget: Budget,
    writer: FieldWriter<'a>,
    stack: [u64; MAX_STACK],
    depth: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Outcome {
        let ops = self.program.ops();
        let mut field_end = None;
        let mut at = 0;
        while at < ops.len() {
            if field_end == Some(at) {
                self.writer.end();
                field_end = None;
            }
            if let Op::Field { end } = ops[at] {
                self.writer.begin();
                self.depth = 0;
                field_end = Some(usize::from(end));
                at += 1;
                continue;
            }
            match (self.step(ops[at]), field_end) {
                (Ok(Step::Next), _) => at += 1,
                (Ok(Step::Goto(to)), _) => at = to,
                (Ok(Step::Refused), _) => return Outcome::False,
                (Err(fault), Some(end)) => {
                    self.writer.fault(fault.reason, fault.address);
                    self.depth = 0;
                    field_end = None;
                    at = end;
                }
                (Err(fault), None) => return Outcome::ConditionError(fault.reason),
            }
        }
        if field_end.is_some() {
            self.writer.end();
        }
        Outcome::Matched {
            bytes: self.writer.used(),
        }
    }

    fn step(&mut self, op: Op) -> Result<Step, Fault> {
        match op {
            Op::Const(value) => self.push(value),
            Op::Reg(register) => self.push(self.registers.get(register)),
            Op::Vector { register, lane } => {
                let value = match self.registers.vector_lane(register, lane) {
                    Some(value) => value,
                    None => self
                        .memory
                        .wide_lane(register, lane)
                        .ok_or(Reason::Unsupported)?,
                };
                self.push(value);
            }
            Op::Context(word) => self.push(match word {
                ContextWord::Pid => u64::from(self.context.pid),
                ContextWord::Tid => u64::from(self.context.tid),
                ContextWord::Time => self.context.time,
                ContextWord::Hits => self.context.hits,
            }),
            Op::Dup => {
                let top = self.top();
                self.push(top);
            }
            Op::Drop => {
                self.pop();
            }
            Op::Swap => {
                let (a, b) = self.pop2();
                self.push(b);
                self.push(a);
            }
            Op::Over => {
                let (a, b) = self.pop2();
                self.push(a);
                self.push(b);
                self.push(a);
            }
            Op::Load { width, signed } => {
                let address = self.pop();
                let value = self.load(address, width.bytes(), signed)?;
                self.push(value);
            }
            Op::Extend { bits, signed } => self.map(|value| extend(value, bits, signed)),
            Op::DivU | Op::DivS | Op::RemU | Op::RemS => self.divide(op)?,
            Op::Neg => self.map(u64::wrapping_neg),
            Op::Not => self.map(|value| !value),
            Op::IsZero => self.map(|value| u64::from(value == 0)),
            Op::FNeg => self.map(|value| (-f64::from_bits(value)).to_bits()),
            Op::F32ToF64 => self.map(|value| f64::from(f32::from_bits(low32(value))).to_bits()),
            Op::RoundToF32 => self.map(|value| round_to_f32(f64::from_bits(value)).to_bits()),
            Op::IntToF32 { signed } => self.map(|value| int_to_f32(value, signed).to_bits()),
            Op::Clamp { bits, signed } => self.map(|value| clamp(value, bits, signed)),
            Op::IntToF64 { signed } => self.map(|value| int_to_f64(value, signed).to_bits()),
            Op::F64ToInt { signed } => self.map(|value| f64_to_int(f64::from_bits(value), signed)),
            Op::Jump(to) => return Ok(Step::Goto(usize::from(to))),
            Op::JumpIfZero(to) => {
                if self.pop() == 0 {
                    return Ok(Step::Goto(usize::from(to)));
                }
            }
            Op::JumpIfNotZero(to) => {
                if self.pop() != 0 {
                    return Ok(Step::Goto(usize::from(to)));
                }
            }
            Op::Bound { limit } => {
                if self.top() >= limit {
                    return Err(Reason::OutOfRange.into());
                }
            }
            Op::BytesEq { offset, len } => {
                let (address, length) = self.pop2();
                let equal = length == u64::from(len) && self.bytes_equal(address, offset, len)?;
                self.push(u64::from(equal));
            }
            Op::CStrEq { offset, len } => {
                let address = self.pop();
                let equal = self.bytes_equal(address, offset, len)? && {
                    self.load(address.wrapping_add(u64::from(len)), 1, false)? == 0
                };
                self.push(u64::from(equal));
            }
            Op::TextEq { left, right } => {
                let (left, right) = self.sides(left, right)?;
                // No byte has to be read where the lengths say it.
                let lengths = left.length().zip(right.length());
                let may_be = lengths.is_none_or(|(left, right)| left == right);
                let equal = may_be && self.order(left, right)?.is_eq();
                self.push(u64::from(equal));
            }
            Op::TextOrder { left, right } => {
                let (left, right) = self.sides(left, right)?;
                let order = self.order(left, right)?;
                self.push((order as i64).cast_unsigned());
            }
            Op::Fail(reason) => return Err(reason.into()),
            Op::Accept => {
                if self.pop() == 0 {
                    return Ok(Step::Refused);
                }
            }
            Op::KeepWord => {
                let value = self.pop();
                self.writer.word(value)?;
            }
            Op::KeepBytes { max } => {
                let (address, length) = self.pop2();
                self.keep_bytes(address, length, max)?;
            }
            Op::KeepCStr { max } => {
                let address = self.pop();
                self.keep_c_str(address, max)?;
            }
            Op::KeepThread => {
                let name = self.context.thread;
                let bytes = name.bytes();
                self.writer
                    .bytes(Some(bytes.len() as u64), bytes.len(), |out| {
                        out.copy_from_slice(&bytes[..out.len()]);
                        Ok((out.len(), true))
                    })?;
            }
            // The run loop takes fields itself.
            Op::Field { .. } => {}
            binary => {
                let (a, b) = self.pop2();
                self.push(apply(binary, a, b));
            }
        }
        Ok(Step::Next)
    }

    fn divide(&mut self, op: Op) -> Result<(), Fault> {
        let (a, b) = self.pop2();
        self.push(quotient(op, a, b).ok_or(Reason::DivisionByZero)?);
        Ok(())
    }

    fn load(&mut self, address: u64, bytes: usize, signed: bool) -> Result<u64, Fault> {
        let mut buffer = [0; 8];
        self.read(address, &mut buffer[..bytes])?;
        let bits = u8::try_from(bytes * 8).expect("at most 64");
        Ok(extend(u64::from_le_bytes(buffer), bits, signed))
    }

    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), Fault> {
        read(self.memory, &mut self.budget, address, out)
    }

    fn bytes_equal(&mut self, address: u64, offset: u32, len: u16) -> Result<bool, Fault> {
        let start = offset as usize;
        let program = self.program;
        let mut at = address;
        for expected in program.pool()[start..start + usize::from(len)].chunks(COMPARE_CHUNK) {
            let mut buffer = [0; COMPARE_CHUNK];
            let mut done = 0;
            while done < expected.len() {
                let count = (expected.len() - done).min(to_page_end(at));
                self.read(at, &mut buffer[..count])?;
                // A string that ends early differs here, before the page behind it is touched.
                if buffer[..count] != expected[done..done + count] {
                    return Ok(false);
                }
                done += count;
                at = at.wrapping_add(count as u64);
            }
        }
        Ok(true)
    }

    /// The right side is on top.
    fn sides(&mut self, left: TextAt, right: TextAt) -> Result<(Side<'a>, Side<'a>), Fault> {
        let right = self.side(right)?;
        Ok((self.side(left)?, right))
    }

    fn side(&mut self, at: TextAt) -> Result<Side<'a>, Fault> {
        if at == TextAt::Thread {
            return Ok(Side::Here(self.context.thread.bytes()));
        }
        let (begin, length) = self.pop2();
        if at != TextAt::Pool {
            return Ok(Side::of_target(at, begin, length));
        }
        let range = |word: u64| usize::try_from(word).ok();
        let end = begin.checked_add(length).and_then(range);
        let range = range(begin).zip(end).map(|(begin, end)| begin..end);
        let bytes = range.and_then(|range| self.program.pool().get(range));
        bytes.map(Side::Here).ok_or(Reason::Unsupported.into())
    }

    fn order(&mut self, left: Side<'_>, right: Side<'_>) -> Result<Ordering, Fault> {
        let (memory, budget) = (&mut *self.memory, &mut self.budget);
        order(left, right, |address, out| {
            read(memory, budget, address, out)
        })
    }

    fn keep_bytes(&mut self, address: u64, length: u64, max: u16) -> Result<(), Fault> {
        let wanted = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(usize::from(max));
        let (memory, budget) = (&mut *self.memory, &mut self.budget);
        self.writer.bytes(Some(length), wanted, |out| {
            let kept = read_pages(memory, budget, address, out, |_| None)?;
            Ok((kept.bytes, true))
        })?;
        Ok(())
    }

    fn keep_c_str(&mut self, address: u64, max: u16) -> Result<(), Fault> {
        let (memory, budget) = (&mut *self.memory, &mut self.budget);
        self.writer.bytes(None, usize::from(max), |out| {
            let kept = read_pages(memory, budget, address, out, |bytes| {
                bytes.iter().position(|&byte| byte == 0)
            })?;
            Ok((kept.bytes, kept.stopped))
        })?;
        Ok(())
    }

    fn map(&mut self, f: impl FnOnce(u64) -> u64) {
        let value = self.pop();
        self.push(f(value));
    }

    fn push(&mut self, value: u64) {
        self.stack[self.depth] = value;
        self.depth += 1;
    }

    fn top(&self) -> u64 {
        self.stack[self.depth - 1]
    }

    fn pop(&mut self) -> u64 {
        self.depth -= 1;
        self.stack[self.depth]
    }

    fn pop2(&mut self) -> (u64, u64) {
        let right = self.pop();
        (self.pop(), right)
    }
}

struct PagesRead {
    bytes: usize,
    stopped: bool,
}

/// Reads page by page until `out` is full, `stop` finds its end, or a page cannot be read. Only
/// when nothing at all could be read is that a fault.
fn read_pages(
    memory: &mut dyn Memory,
    budget: &mut Budget,
    address: u64,
    out: &mut [u8],
    stop: impl Fn(&[u8]) -> Option<usize>,
) -> Result<PagesRead, (Reason, u64)> {
    // Strings are short: look at a little before asking for a whole page.
    const FIRST: usize = 64;
    let mut done = 0;
    while done < out.len() {
        let at = address.wrapping_add(done as u64);
        let limit = if done == 0 { FIRST } else { usize::MAX };
        let count = (out.len() - done).min(to_page_end(at)).min(limit);
        match read(memory, budget, at, &mut out[done..done + count]) {
            Ok(()) => {}
            Err(fault) if done == 0 => return Err((fault.reason, fault.address)),
            Err(_) => break,
        }
        if let Some(end) = stop(&out[done..done + count]) {
            return Ok(PagesRead {
                bytes: done + end,
                stopped: true,
            });
        }
        done += count;
    }
    Ok(PagesRead {
        bytes: done,
        stopped: false,
    })
}

fn read(
    memory: &mut dyn Memory,
    budget: &mut Budget,
    address: u64,
    out: &mut [u8],
) -> Result<(), Fault> {
    if address < NULL_PAGE {
        return Err(MemoryFault { address }.into());
    }
    let count = u32::try_from(out.len()).unwrap_or(u32::MAX);
    budget.bytes = budget.bytes.checked_sub(count).ok_or(Reason::Budget)?;
    memory.read(address, out).map_err(Fault::from)
}

pub(crate) fn to_page_end(address: u64) -> usize {
    usize::try_from(PAGE - address % PAGE).expect("at most a page")
}

fn extend(value: u64, bits: u8, signed: bool) -> u64 {
    let shift = 64 - u32::from(bits.clamp(1, 64));
    if signed {
        (value.cast_signed() << shift >> shift).cast_unsigned()
    } else {
        value << shift >> shift
    }
}

fn low32(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).expect("masked to 32 bits")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "C converts the same way, to the nearest double"
)]
fn int_to_f64(value: u64, signed: bool) -> f64 {
    if signed {
        value.cast_signed() as f64
    } else {
        value as f64
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturation is the documented behaviour"
)]
fn f64_to_int(value: f64, signed: bool) -> u64 {
    if signed {
        (value as i64).cast_unsigned()
    } else {
        value as u64
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest float is what it is for"
)]
fn round_to_f32(value: f64) -> f64 {
    f64::from(value as f32)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "C converts the same way, to the nearest float"
)]
fn int_to_f32(value: u64, signed: bool) -> f64 {
    f64::from(if signed {
        value.cast_signed() as f32
    } else {
        value as f32
    })
}

fn clamp(value: u64, bits: u8, signed: bool) -> u64 {
    let bits = u32::from(bits.clamp(1, 64));
    if signed {
        let most = i64::MAX >> (64 - bits);
        value.cast_signed().clamp(!most, most).cast_unsigned()
    } else {
        value.min(u64::MAX >> (64 - bits))
    }
}

fn apply(op: Op, a: u64, b: u64) -> u64 {
    let (fa, fb) = (f64::from_bits(a), f64::from_bits(b));
    let shift = u32::try_from(b).unwrap_or(u32::MAX);
    match op {
        Op::Add => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Mul => a.wrapping_mul(b),
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Shl => a.checked_shl(shift).unwrap_or(0),
        Op::Shr => a.checked_shr(shift).unwrap_or(0),
        Op::Sar => (a.cast_signed() >> shift.min(63)).cast_unsigned(),
        Op::Eq => u64::from(a == b),
        Op::Ne => u64::from(a != b),
        Op::LtU => u64::from(a < b),
        Op::LtS => u64::from(a.cast_signed() < b.cast_signed()),
        Op::LeU => u64::from(a <= b),
        Op::LeS => u64::from(a.cast_signed() <= b.cast_signed()),
        Op::FAdd => (fa + fb).to_bits(),
        Op::FSub => (fa - fb).to_bits(),
        Op::FMul => (fa * fb).to_bits(),
        Op::FDiv => (fa / fb).to_bits(),
        Op::FEq => u64::from(fa == fb),
        Op::FNe => u64::from(fa != fb),
        Op::FLt => u64::from(fa < fb),
        Op::FLe => u64::from(fa <= fb),
        other => unreachable!("{other:?} is not a two-operand operation"),
    }
}
