use crate::op::{OP_BYTES, Op, TextAt};
use crate::verify::{Cost, VerifyError, verify};

/// Why bytes are not a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgramError {
    /// The bytes end in the middle of an operation or of the pool.
    Truncated,
    /// The operation at this index is not one of ours.
    UnknownOp(usize),
    Invalid(VerifyError),
}

impl core::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ProgramError::Truncated => write!(f, "program is truncated"),
            ProgramError::UnknownOp(index) => write!(f, "unknown operation at {index}"),
            ProgramError::Invalid(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for ProgramError {}

/// A verified program. There is no other way to have one, so that the machine need not check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    ops: Vec<Op>,
    pool: Vec<u8>,
    cost: Cost,
    needs_vectors: bool,
    needs_thread_name: bool,
}

impl Program {
    /// Verifies `ops` against `pool`, the constant bytes that comparisons name.
    pub fn new(ops: Vec<Op>, pool: Vec<u8>) -> Result<Program, VerifyError> {
        let cost = verify(&ops, &pool)?;
        // Asked at every hit: told once.
        let needs_vectors = ops.iter().any(|op| {
            // Others are asked for one by one.
            matches!(
                op,
                Op::Vector {
                    register: ..16,
                    lane: ..2
                }
            )
        });
        let needs_thread_name = ops.iter().any(|op| names_thread(*op));
        Ok(Program {
            ops,
            pool,
            cost,
            needs_vectors,
            needs_thread_name,
        })
    }

    /// A program that keeps nothing and always matches.
    pub fn empty() -> Program {
        Program {
            ops: Vec::new(),
            pool: Vec::new(),
            cost: Cost::default(),
            needs_vectors: false,
            needs_thread_name: false,
        }
    }

    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub fn pool(&self) -> &[u8] {
        &self.pool
    }

    /// What one run costs at most.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether [`crate::Registers::vector`] has to be fetched for it.
    pub fn needs_vectors(&self) -> bool {
        self.needs_vectors
    }

    /// Whether the name of the thread has to be known to it.
    pub fn needs_thread_name(&self) -> bool {
        self.needs_thread_name
    }

    /// Its encoded form: counts of operations and pool bytes (u32 each), operations, pool.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let count = |len: usize| u32::try_from(len).expect("verified programs are short");
        out.extend_from_slice(&count(self.ops.len()).to_le_bytes());
        out.extend_from_slice(&count(self.pool.len()).to_le_bytes());
        for op in &self.ops {
            out.extend_from_slice(&op.encode());
        }
        out.extend_from_slice(&self.pool);
    }

    /// Decodes and verifies a program at the start of `bytes`; returns it and the rest.
    pub fn decode(bytes: &[u8]) -> Result<(Program, &[u8]), ProgramError> {
        let (ops_len, bytes) = take_u32(bytes)?;
        let (pool_len, bytes) = take_u32(bytes)?;
        let code_len = ops_len
            .checked_mul(OP_BYTES)
            .ok_or(ProgramError::Truncated)?;
        let (code, bytes) = bytes
            .split_at_checked(code_len)
            .ok_or(ProgramError::Truncated)?;
        let (pool, rest) = bytes
            .split_at_checked(pool_len)
            .ok_or(ProgramError::Truncated)?;
        let mut ops = Vec::with_capacity(ops_len);
        for (index, encoded) in code.as_chunks::<OP_BYTES>().0.iter().enumerate() {
            ops.push(Op::decode(encoded).ok_or(ProgramError::UnknownOp(index))?);
        }
        let program = Program::new(ops, pool.to_vec()).map_err(ProgramError::Invalid)?;
        Ok((program, rest))
    }
}

fn names_thread(op: Op) -> bool {
    match op {
        Op::KeepThread => true,
        Op::TextEq { left, right } | Op::TextOrder { left, right } => {
            left == TextAt::Thread || right == TextAt::Thread
        }
        _ => false,
    }
}

fn take_u32(bytes: &[u8]) -> Result<(usize, &[u8]), ProgramError> {
    let (head, rest) = bytes.split_at_checked(4).ok_or(ProgramError::Truncated)?;
    let value = u32::from_le_bytes(head.try_into().expect("split at four"));
    Ok((value as usize, rest))
}
