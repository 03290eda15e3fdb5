use crate::registers::Register;

/// Bytes of an encoded operation.
pub const OP_BYTES: usize = 16;

/// How many bytes a load reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    B1,
    B2,
    B4,
    B8,
}

impl Width {
    pub fn bytes(self) -> usize {
        match self {
            Width::B1 => 1,
            Width::B2 => 2,
            Width::B4 => 4,
            Width::B8 => 8,
        }
    }

    /// The width of a scalar of so many bytes.
    pub fn from_bytes(bytes: u64) -> Option<Width> {
        match bytes {
            1 => Some(Width::B1),
            2 => Some(Width::B2),
            4 => Some(Width::B4),
            8 => Some(Width::B8),
            _ => None,
        }
    }
}

/// Why there is no value. The numbers are part of the encoded form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reason {
    /// The address cannot be read.
    Unreadable = 1,
    /// A null pointer was followed.
    Null = 2,
    /// Division or remainder by zero.
    DivisionByZero = 3,
    /// An index or a length beyond the object.
    OutOfRange = 4,
    /// The variable has no location at this address.
    OptimizedOut = 5,
    /// The byte or step budget of this hit is used up.
    Budget = 6,
    /// The debug info describes something that this version does not read.
    Unsupported = 7,
    /// The record of this hit has no room left for the field.
    NoRoom = 8,
    /// The value is of another variant than the one that was asked for.
    OtherVariant = 9,
}

impl Reason {
    pub fn from_u8(code: u8) -> Option<Reason> {
        Some(match code {
            1 => Reason::Unreadable,
            2 => Reason::Null,
            3 => Reason::DivisionByZero,
            4 => Reason::OutOfRange,
            5 => Reason::OptimizedOut,
            6 => Reason::Budget,
            7 => Reason::Unsupported,
            8 => Reason::NoRoom,
            9 => Reason::OtherVariant,
            _ => return None,
        })
    }
}

/// What the engine knows of a hit beside registers and memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextWord {
    Pid,
    Tid,
    /// Nanoseconds since the Unix epoch.
    Time,
    /// Hits of this action so far, this one included.
    Hits,
}

/// What one side of a comparison of texts takes from the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TextAt {
    /// An address and a length.
    Counted,
    /// An address and the most bytes that may be looked at: a NUL ends it before.
    Ended,
    /// An offset and a length in the pool.
    Pool,
    /// Nothing: it is the name of the thread.
    Thread,
}

impl TextAt {
    fn from_u8(code: u8) -> Option<TextAt> {
        Some(match code {
            0 => TextAt::Counted,
            1 => TextAt::Ended,
            2 => TextAt::Pool,
            3 => TextAt::Thread,
            _ => return None,
        })
    }

    /// Words that it takes.
    pub(crate) fn words(self) -> usize {
        match self {
            TextAt::Thread => 0,
            _ => 2,
        }
    }
}

/// One operation of a program: a machine with a stack of 64-bit words.
///
/// Two-operand operations take the right operand from the top of the stack. Operations on
/// narrower integers are done at 64 bits and followed by [`Op::Extend`]. Floating-point operations
/// read the words as IEEE 754 doubles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    Const(u64),
    Reg(Register),
    /// A 64-bit lane of a register of vectors: 0 to 31 are `zmm0` to `zmm31`, with lanes 0 to 7, of
    /// which `ymm` has four and `xmm` two; 32 to 39 are the masks `k0` to `k7`, with lane 0.
    Vector {
        register: u8,
        lane: u8,
    },
    Context(ContextWord),
    Dup,
    Drop,
    Swap,
    Over,
    /// Pops an address, pushes what is there, zero- or sign-extended. An address below 4096 is
    /// [`Reason::Null`].
    Load {
        width: Width,
        signed: bool,
    },
    /// Keeps the low `bits` (1 to 64) of the top word, zero- or sign-extended.
    Extend {
        bits: u8,
        signed: bool,
    },
    Add,
    Sub,
    Mul,
    DivU,
    DivS,
    RemU,
    RemS,
    And,
    Or,
    Xor,
    /// Shifts by 64 or more give zero (or the sign, for `Sar`).
    Shl,
    Shr,
    Sar,
    Neg,
    Not,
    /// One if the word is zero, else zero.
    IsZero,
    Eq,
    Ne,
    LtU,
    LtS,
    LeU,
    LeS,
    FAdd,
    FSub,
    FMul,
    FDiv,
    FNeg,
    FEq,
    FNe,
    FLt,
    FLe,
    /// Widens the `float` in the low 32 bits to a double.
    F32ToF64,
    /// Rounds a double to the nearest `float`, which stays a double.
    RoundToF32,
    IntToF64 {
        signed: bool,
    },
    /// To the nearest `float`, as a double: by way of a double it would be rounded twice.
    IntToF32 {
        signed: bool,
    },
    /// Truncates toward zero, saturating; NaN gives zero.
    F64ToInt {
        signed: bool,
    },
    /// The nearest integer that `bits` (1 to 64) hold.
    Clamp {
        bits: u8,
        signed: bool,
    },
    /// Jumps go forward only, to an index in the code.
    Jump(u16),
    JumpIfZero(u16),
    JumpIfNotZero(u16),
    /// Checks that the top word is below `limit` (unsigned) and leaves it there; otherwise fails
    /// with [`Reason::OutOfRange`].
    Bound {
        limit: u64,
    },
    /// Pops a length, then an address: one if those bytes equal `len` bytes of the pool at
    /// `offset`, zero if the length differs or the bytes do.
    BytesEq {
        offset: u32,
        len: u16,
    },
    /// Pops an address: one if the NUL-terminated string there equals the pool's bytes.
    CStrEq {
        offset: u32,
        len: u16,
    },
    /// Pops what says where two texts are, the right one's first: one if their bytes are the same.
    /// More than 4096 equal bytes of each are [`Reason::Budget`].
    TextEq {
        left: TextAt,
        right: TextAt,
    },
    /// The same: minus one, zero or one, by the first byte that differs.
    TextOrder {
        left: TextAt,
        right: TextAt,
    },
    /// Ends the evaluation of the condition or the field with a reason.
    Fail(Reason),
    /// Pops the condition; zero ends the run as [`crate::Outcome::False`]. Comes before any field.
    Accept,
    /// Begins a kept field. A fault before `end` becomes the field's value and the run goes on
    /// at `end`.
    Field {
        end: u16,
    },
    /// Pops a word and keeps it as part of the current field.
    KeepWord,
    /// Pops a length, then an address; keeps at most `max` bytes, and the length.
    KeepBytes {
        max: u16,
    },
    /// Pops an address; keeps the bytes up to a NUL, at most `max`.
    KeepCStr {
        max: u16,
    },
    /// Keeps the name of the thread, as bytes.
    KeepThread,
}

macro_rules! plain_ops {
    ($($code:literal => $op:ident),* $(,)?) => {
        fn plain_code(op: Op) -> Option<u8> {
            match op { $(Op::$op => Some($code),)* _ => None }
        }
        fn plain_op(code: u8) -> Option<Op> {
            match code { $($code => Some(Op::$op),)* _ => None }
        }
    };
}

plain_ops! {
    1 => Dup, 2 => Drop, 3 => Swap, 4 => Over,
    5 => Add, 6 => Sub, 7 => Mul, 8 => DivU, 9 => DivS, 10 => RemU, 11 => RemS,
    12 => And, 13 => Or, 14 => Xor, 15 => Shl, 16 => Shr, 17 => Sar, 18 => Neg, 19 => Not,
    20 => IsZero, 21 => Eq, 22 => Ne, 23 => LtU, 24 => LtS, 25 => LeU, 26 => LeS,
    27 => FAdd, 28 => FSub, 29 => FMul, 30 => FDiv, 31 => FNeg,
    32 => FEq, 33 => FNe, 34 => FLt, 35 => FLe, 36 => F32ToF64,
    37 => Accept, 38 => KeepWord, 39 => RoundToF32,
    40 => KeepThread,
}

impl Op {
    /// The encoded form: code, two small operands, a 16-bit, a 32-bit and a 64-bit operand, in
    /// little-endian order.
    pub fn encode(self) -> [u8; OP_BYTES] {
        let (code, a, b, half, word, imm) = match self {
            Op::Const(value) => (64, 0, 0, 0, 0, value),
            Op::Reg(register) => (65, register.number(), 0, 0, 0, 0),
            Op::Vector { register, lane } => (66, register, lane, 0, 0, 0),
            Op::Context(word) => (67, word as u8, 0, 0, 0, 0),
            Op::Load { width, signed } => (68, width as u8, u8::from(signed), 0, 0, 0),
            Op::Extend { bits, signed } => (69, bits, u8::from(signed), 0, 0, 0),
            Op::IntToF64 { signed } => (70, u8::from(signed), 0, 0, 0, 0),
            Op::F64ToInt { signed } => (71, u8::from(signed), 0, 0, 0, 0),
            Op::Jump(to) => (72, 0, 0, to, 0, 0),
            Op::JumpIfZero(to) => (73, 0, 0, to, 0, 0),
            Op::JumpIfNotZero(to) => (74, 0, 0, to, 0, 0),
            Op::Bound { limit } => (75, 0, 0, 0, 0, limit),
            Op::BytesEq { offset, len } => (76, 0, 0, len, offset, 0),
            Op::CStrEq { offset, len } => (77, 0, 0, len, offset, 0),
            Op::Fail(reason) => (78, reason as u8, 0, 0, 0, 0),
            Op::Field { end } => (79, 0, 0, end, 0, 0),
            Op::KeepBytes { max } => (80, 0, 0, max, 0, 0),
            Op::KeepCStr { max } => (81, 0, 0, max, 0, 0),
            Op::IntToF32 { signed } => (82, u8::from(signed), 0, 0, 0, 0),
            Op::Clamp { bits, signed } => (83, bits, u8::from(signed), 0, 0, 0),
            Op::TextEq { left, right } => (84, left as u8, right as u8, 0, 0, 0),
            Op::TextOrder { left, right } => (85, left as u8, right as u8, 0, 0, 0),
            plain => (
                plain_code(plain).expect("every other operation is plain"),
                0,
                0,
                0,
                0,
                0,
            ),
        };
        let mut bytes = [0; OP_BYTES];
        bytes[0] = code;
        bytes[1] = a;
        bytes[2] = b;
        bytes[4..6].copy_from_slice(&u16::to_le_bytes(half));
        // The 32-bit and 64-bit operands share the tail: no operation has both.
        let imm = if word != 0 { u64::from(word) } else { imm };
        bytes[8..16].copy_from_slice(&imm.to_le_bytes());
        bytes
    }

    /// Decodes one operation; `None` for a code or operand that this version does not have.
    pub fn decode(bytes: &[u8; OP_BYTES]) -> Option<Op> {
        let (code, a, b) = (bytes[0], bytes[1], bytes[2]);
        let half = u16::from_le_bytes([bytes[4], bytes[5]]);
        let mut imm = [0; 8];
        imm.copy_from_slice(&bytes[8..16]);
        let imm = u64::from_le_bytes(imm);
        Some(match code {
            64 => Op::Const(imm),
            65 => Op::Reg(Register::from_dwarf(u16::from(a))?),
            66 if (a < 32 && b < 8) || (a < 40 && b == 0) => Op::Vector {
                register: a,
                lane: b,
            },
            67 => Op::Context(match a {
                0 => ContextWord::Pid,
                1 => ContextWord::Tid,
                2 => ContextWord::Time,
                3 => ContextWord::Hits,
                _ => return None,
            }),
            68 => Op::Load {
                width: match a {
                    0 => Width::B1,
                    1 => Width::B2,
                    2 => Width::B4,
                    3 => Width::B8,
                    _ => return None,
                },
                signed: b != 0,
            },
            69 if (1..=64).contains(&a) => Op::Extend {
                bits: a,
                signed: b != 0,
            },
            70 => Op::IntToF64 { signed: a != 0 },
            71 => Op::F64ToInt { signed: a != 0 },
            72 => Op::Jump(half),
            73 => Op::JumpIfZero(half),
            74 => Op::JumpIfNotZero(half),
            75 => Op::Bound { limit: imm },
            76 => Op::BytesEq {
                offset: u32::try_from(imm).ok()?,
                len: half,
            },
            77 => Op::CStrEq {
                offset: u32::try_from(imm).ok()?,
                len: half,
            },
            78 => Op::Fail(Reason::from_u8(a)?),
            79 => Op::Field { end: half },
            80 => Op::KeepBytes { max: half },
            81 => Op::KeepCStr { max: half },
            82 => Op::IntToF32 { signed: a != 0 },
            83 if (1..=64).contains(&a) => Op::Clamp {
                bits: a,
                signed: b != 0,
            },
            84 => Op::TextEq {
                left: TextAt::from_u8(a)?,
                right: TextAt::from_u8(b)?,
            },
            85 => Op::TextOrder {
                left: TextAt::from_u8(a)?,
                right: TextAt::from_u8(b)?,
            },
            _ => return plain_op(code),
        })
    }
}
