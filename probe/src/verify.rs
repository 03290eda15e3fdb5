use crate::op::{Op, TextAt};
use crate::text::MAX_COMPARED;

/// The most operations of a program.
pub const MAX_OPS: usize = 4096;
/// The deepest stack.
pub const MAX_STACK: usize = 32;

/// What one run of a program costs at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    pub ops: u32,
    /// Reads of target memory.
    pub reads: u32,
    /// Bytes of target memory.
    pub bytes: u32,
}

/// Why a program is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifyError {
    TooLong {
        ops: usize,
    },
    /// A jump or a field's end that goes backward or outside.
    BadTarget {
        at: usize,
    },
    StackUnderflow {
        at: usize,
    },
    StackOverflow {
        at: usize,
    },
    /// Two ways to the same operation with different stacks.
    StackMismatch {
        at: usize,
    },
    /// A comparison with bytes outside the pool.
    BadPool {
        at: usize,
    },
    /// `Accept` inside or behind a field, a field inside a field, or a kept part outside one.
    BadOrder {
        at: usize,
    },
}

impl core::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            VerifyError::TooLong { ops } => {
                write!(
                    f,
                    "program of {ops} operations, at most {MAX_OPS} are allowed"
                )
            }
            VerifyError::BadTarget { at } => write!(f, "bad jump target at {at}"),
            VerifyError::StackUnderflow { at } => write!(f, "stack underflow at {at}"),
            VerifyError::StackOverflow { at } => {
                write!(
                    f,
                    "expression too deep: more than {MAX_STACK} words at {at}"
                )
            }
            VerifyError::StackMismatch { at } => write!(f, "stacks differ at {at}"),
            VerifyError::BadPool { at } => write!(f, "constant outside the pool at {at}"),
            VerifyError::BadOrder { at } => write!(f, "operation out of order at {at}"),
        }
    }
}

impl core::error::Error for VerifyError {}

/// Checks that a program can run without further checks: jumps go forward and stay inside the
/// condition or field they start in, the stack neither under- nor overflows and is the same on
/// all ways to an operation, constants lie in the pool.
pub fn verify(ops: &[Op], pool: &[u8]) -> Result<Cost, VerifyError> {
    if ops.len() > MAX_OPS {
        return Err(VerifyError::TooLong { ops: ops.len() });
    }
    let mut cost = Cost::default();
    // Depth of the stack at each operation that something jumps to.
    let mut expected: Vec<Option<usize>> = vec![None; ops.len() + 1];
    let mut depth = Some(0usize);
    let mut field_end: Option<usize> = None;
    let mut fields_began = false;
    let condition_end = ops.iter().position(|op| matches!(op, Op::Accept));

    for (at, &op) in ops.iter().enumerate() {
        if field_end == Some(at) {
            close_field(&mut depth, &mut expected, at)?;
            field_end = None;
        }
        merge(&mut depth, expected[at], at)?;
        let Some(before) = depth else { continue };

        let (pops, pushes) = effect(op);
        let after = before
            .checked_sub(pops)
            .ok_or(VerifyError::StackUnderflow { at })?
            + pushes;
        if after > MAX_STACK {
            return Err(VerifyError::StackOverflow { at });
        }
        depth = Some(after);
        cost.ops += 1;
        add_reads(&mut cost, op);

        // A jump may go as far as the end of what it is part of.
        let limit = field_end
            .or(condition_end.filter(|&end| at < end))
            .unwrap_or(at);
        match op {
            Op::Jump(to) => {
                jump(&mut expected, at, to, limit, after)?;
                depth = None;
            }
            Op::JumpIfZero(to) | Op::JumpIfNotZero(to) => {
                jump(&mut expected, at, to, limit, after)?;
            }
            Op::Fail(_) => depth = None,
            Op::Accept if field_end.is_some() || fields_began || Some(at) != condition_end => {
                return Err(VerifyError::BadOrder { at });
            }
            Op::Accept if after != 0 => return Err(VerifyError::StackMismatch { at }),
            Op::Field { end } => {
                let end = usize::from(end);
                if field_end.is_some() || condition_end.is_some_and(|condition| at < condition) {
                    return Err(VerifyError::BadOrder { at });
                }
                if end <= at || end > ops.len() {
                    return Err(VerifyError::BadTarget { at });
                }
                if before != 0 {
                    return Err(VerifyError::StackMismatch { at });
                }
                field_end = Some(end);
                fields_began = true;
            }
            Op::KeepWord | Op::KeepBytes { .. } | Op::KeepCStr { .. } | Op::KeepThread
                if field_end.is_none() =>
            {
                return Err(VerifyError::BadOrder { at });
            }
            Op::BytesEq { offset, len } | Op::CStrEq { offset, len } => {
                let end = u64::from(offset) + u64::from(len);
                if end > pool.len() as u64 {
                    return Err(VerifyError::BadPool { at });
                }
            }
            _ => {}
        }
    }
    if field_end == Some(ops.len()) {
        close_field(&mut depth, &mut expected, ops.len())?;
    } else if depth != Some(0) && !ops.is_empty() {
        return Err(VerifyError::StackMismatch { at: ops.len() });
    }
    Ok(cost)
}

/// At the end of a field the stack is empty, whichever way the field ended.
fn close_field(
    depth: &mut Option<usize>,
    expected: &mut [Option<usize>],
    at: usize,
) -> Result<(), VerifyError> {
    merge(depth, expected[at], at)?;
    if depth.is_some_and(|depth| depth != 0) {
        return Err(VerifyError::StackMismatch { at });
    }
    expected[at] = None;
    *depth = Some(0);
    Ok(())
}

fn merge(depth: &mut Option<usize>, expected: Option<usize>, at: usize) -> Result<(), VerifyError> {
    match (*depth, expected) {
        (Some(depth), Some(expected)) if depth != expected => {
            Err(VerifyError::StackMismatch { at })
        }
        (None, Some(expected)) => {
            *depth = Some(expected);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn jump(
    expected: &mut [Option<usize>],
    at: usize,
    to: u16,
    limit: usize,
    depth: usize,
) -> Result<(), VerifyError> {
    let to = usize::from(to);
    if to <= at || to > limit {
        return Err(VerifyError::BadTarget { at });
    }
    match expected[to] {
        Some(known) if known != depth => Err(VerifyError::StackMismatch { at: to }),
        _ => {
            expected[to] = Some(depth);
            Ok(())
        }
    }
}

fn effect(op: Op) -> (usize, usize) {
    match op {
        Op::Const(_) | Op::Reg(_) | Op::Vector { .. } | Op::Context(_) => (0, 1),
        Op::Dup => (1, 2),
        Op::Over => (2, 3),
        Op::Swap => (2, 2),
        Op::Drop | Op::Accept | Op::KeepWord | Op::KeepCStr { .. } => (1, 0),
        Op::JumpIfZero(_) | Op::JumpIfNotZero(_) => (1, 0),
        Op::KeepBytes { .. } => (2, 0),
        Op::Jump(_) | Op::Fail(_) | Op::Field { .. } | Op::KeepThread => (0, 0),
        Op::TextEq { left, right } | Op::TextOrder { left, right } => {
            (left.words() + right.words(), 1)
        }
        Op::Load { .. }
        | Op::Extend { .. }
        | Op::Neg
        | Op::Not
        | Op::IsZero
        | Op::FNeg
        | Op::F32ToF64
        | Op::RoundToF32
        | Op::Clamp { .. }
        | Op::IntToF32 { .. }
        | Op::IntToF64 { .. }
        | Op::F64ToInt { .. }
        | Op::Bound { .. }
        | Op::CStrEq { .. } => (1, 1),
        Op::Add
        | Op::Sub
        | Op::Mul
        | Op::DivU
        | Op::DivS
        | Op::RemU
        | Op::RemS
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
        | Op::BytesEq { .. } => (2, 1),
    }
}

fn add_reads(cost: &mut Cost, op: Op) {
    if let Op::TextEq { left, right } | Op::TextOrder { left, right } = op {
        for side in [left, right] {
            if matches!(side, TextAt::Counted | TextAt::Ended) {
                cost.reads += u32::try_from(MAX_COMPARED / 64).expect("small");
                cost.bytes += u32::try_from(MAX_COMPARED).expect("small");
            }
        }
        return;
    }
    let bytes = match op {
        Op::Load { width, .. } => u32::try_from(width.bytes()).expect("at most eight"),
        Op::BytesEq { len, .. } | Op::CStrEq { len, .. } => u32::from(len) + 1,
        Op::KeepBytes { max } | Op::KeepCStr { max } => u32::from(max),
        _ => return,
    };
    cost.reads += 1;
    cost.bytes += bytes;
}
