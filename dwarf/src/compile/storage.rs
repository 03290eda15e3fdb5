use gimli::{AttributeValue, Expression, Operation, UnitOffset};
use lr_probe::{Op, Register, Width};

use super::code::Code;
use super::scope::Scope;
use super::stop::{Result, Stop};
use crate::image::Bytes;
use crate::info::{Cfa, Die, DieRef};
use crate::types::Shape;

/// The first of the sixteen vector registers, of the sixteen that AVX-512 adds, and of its masks
/// (System V psABI for x86-64, figure 3.36).
const XMM0: u16 = 17;
const XMM16: u16 = 67;
const K0: u16 = 118;
/// Eight bytes each, of the widest.
const LANES: u8 = 8;
/// The most operations of one location.
const MAX_OPERATIONS: usize = 256;
/// How deep a frame base may need another expression.
const MAX_NESTING: usize = 4;

/// Where a value is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Storage {
    /// Code that pushes its address.
    Memory(Code),
    /// In parts, in the order of its bytes.
    Pieces(Vec<Piece>),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: u64,
    pub(crate) at: PieceAt,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum PieceAt {
    Memory(Code),
    /// Code that pushes a word of which the low bytes count; at most eight.
    Word(Code),
    Gone,
}

impl Piece {
    /// Which register of vectors these bytes are of, and which lane.
    pub(crate) fn vector_lane(&self) -> Option<(u8, u8)> {
        match &self.at {
            PieceAt::Word(code) => match code.ops() {
                [Op::Vector { register, lane }] => Some((*register, *lane)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl PieceAt {
    /// The word of a piece that is a constant.
    pub(crate) fn constant(&self) -> Option<u64> {
        match self {
            PieceAt::Word(code) => code.as_constant(),
            PieceAt::Memory(_) | PieceAt::Gone => None,
        }
    }
}

/// The type of a word on the DWARF stack: bits and sign; `None` is the generic type.
type Typed = Option<(u8, bool)>;

impl<'a> Scope<'a> {
    /// Where a variable is at this place.
    pub(crate) fn storage(&self, die: &Die<'a>) -> Result<Storage> {
        let unit = die.at.unit;
        if let Some(expression) = self.expression(die, gimli::DW_AT_location)? {
            return self.evaluate(unit, expression, 0);
        }
        match die.attr(gimli::DW_AT_const_value) {
            Some(value) => constant(value),
            None if die.attr(gimli::DW_AT_location).is_some() => {
                Err(Stop::optimized_out("it has no value at this address"))
            }
            None => Err(Stop::optimized_out("the compiler kept no trace of it")),
        }
    }

    /// The location expression that holds at this place.
    fn expression(
        &self,
        die: &Die<'a>,
        name: gimli::DwAt,
    ) -> Result<Option<Expression<Bytes<'a>>>> {
        match die.attr(name) {
            None => Ok(None),
            Some(AttributeValue::Exprloc(expression)) => Ok(Some(expression)),
            Some(AttributeValue::Block(bytes)) => Ok(Some(Expression(bytes))),
            Some(list) => Ok(self
                .info
                .listed_location(die, list, self.addr, self.place.view)?),
        }
    }

    /// Whether a location expression gives all of a value.
    pub(crate) fn is_whole(&self, unit: usize, expression: Expression<Bytes<'a>>) -> bool {
        if expression.0.is_empty() {
            return false;
        }
        match self.evaluate(unit, expression, 0) {
            Ok(Storage::Memory(_)) => true,
            Ok(Storage::Pieces(pieces)) => pieces.iter().all(|piece| piece.at != PieceAt::Gone),
            Err(_) => false,
        }
    }

    fn evaluate(
        &self,
        unit: usize,
        expression: Expression<Bytes<'a>>,
        depth: usize,
    ) -> Result<Storage> {
        if depth > MAX_NESTING {
            return Err(Stop::unsupported("a location that refers to itself"));
        }
        let encoding = self.info.unit(unit)?.encoding();
        let mut operations = expression.operations(encoding);
        let mut evaluation = Evaluation::default();
        let mut count = 0;
        while let Some(operation) = operations.next()? {
            count += 1;
            if count > MAX_OPERATIONS {
                return Err(Stop::unsupported("a location that is too long"));
            }
            self.operation(unit, operation, &mut evaluation, depth)?;
        }
        evaluation.finish()
    }

    fn operation(
        &self,
        unit: usize,
        operation: Operation<Bytes<'a>>,
        evaluation: &mut Evaluation,
        depth: usize,
    ) -> Result<()> {
        match operation {
            Operation::Nop => {}
            Operation::UnsignedConstant { value } => evaluation.push(Op::Const(value), None),
            Operation::SignedConstant { value } => {
                evaluation.push(Op::Const(value.cast_unsigned()), None);
            }
            Operation::Address { address } => {
                evaluation.push(Op::Const(self.in_target(address)), None);
            }
            Operation::AddressIndex { index } => {
                let data = self.info.unit(unit)?;
                let address = self.info.dwarf_of(unit).address(&data, index)?;
                evaluation.push(Op::Const(self.in_target(address)), None);
            }
            Operation::ConstantIndex { index } => {
                let data = self.info.unit(unit)?;
                let value = self.info.dwarf_of(unit).address(&data, index)?;
                evaluation.push(Op::Const(value), None);
            }
            Operation::RegisterOffset {
                register,
                offset,
                base_type,
            } => {
                let typed = self.word_type(unit, base_type)?;
                let code = Code::one(Op::Reg(general(register.0)?)).plus(offset.cast_unsigned());
                evaluation.push_code(code, typed);
            }
            Operation::FrameOffset { offset } => {
                let base = self.frame_base(depth)?.plus(offset.cast_unsigned());
                evaluation.push_code(base, None);
            }
            Operation::CallFrameCFA => {
                let cfa = self.call_frame_address(unit, depth)?;
                evaluation.push_code(cfa, None);
            }
            Operation::Register { register } => {
                let number = register.0;
                let word = |op| Piece {
                    bytes: 8,
                    at: PieceAt::Word(Code::one(op)),
                };
                evaluation.ready = Some(match vector(number) {
                    // The number means the whole register, as wide as it is.
                    Some((register, lanes)) => (0..lanes)
                        .map(|lane| word(Op::Vector { register, lane }))
                        .collect(),
                    None => vec![word(Op::Reg(general(number)?))],
                });
            }
            Operation::ImplicitValue { data } => {
                evaluation.ready = Some(constant_pieces(data.slice()));
            }
            Operation::StackValue => {
                let code = evaluation.take_top()?;
                evaluation.ready = Some(vec![Piece {
                    bytes: 8,
                    at: PieceAt::Word(code),
                }]);
            }
            Operation::Piece {
                size_in_bits,
                bit_offset,
            } => {
                if size_in_bits % 8 != 0 || bit_offset.is_some_and(|offset| offset != 0) {
                    return Err(Stop::unsupported("a value that is scattered bit by bit"));
                }
                evaluation.piece(size_in_bits / 8)?;
            }
            Operation::EntryValue { .. } => {
                return Err(Stop::optimized_out(
                    "only its value at the function's entry is told",
                ));
            }
            Operation::ParameterRef { .. } => {
                return Err(Stop::optimized_out("only the caller has it"));
            }
            Operation::ImplicitPointer { .. } => {
                return Err(Stop::optimized_out("what it points to is not in memory"));
            }
            Operation::Uninitialized => {
                return Err(Stop::Absent {
                    reason: crate::layout::Absence::NotLive,
                    detail: "maybe not initialised, as gcc marks it".to_owned(),
                });
            }
            Operation::TLS => return Err(Stop::unsupported("a thread-local variable")),
            Operation::Convert { base_type } => {
                let typed = self.word_type(unit, base_type)?;
                evaluation.convert(typed)?;
            }
            Operation::TypedLiteral { base_type, value } => {
                let typed = self.word_type(unit, base_type)?;
                let mut bytes = [0; 8];
                let slice = value.slice();
                let Some(room) = bytes.get_mut(..slice.len()) else {
                    return Err(Stop::unsupported("a constant of more than eight bytes"));
                };
                room.copy_from_slice(slice);
                evaluation.push_code(Code::constant(u64::from_le_bytes(bytes)), typed);
            }
            Operation::Deref {
                base_type,
                size,
                space: false,
            } => {
                let typed = self.word_type(unit, base_type)?;
                let width = Width::from_bytes(u64::from(size));
                let width = width.ok_or_else(|| Stop::unsupported("a load of odd size"))?;
                evaluation.unary(Op::Load {
                    width,
                    signed: typed.is_some_and(|(_, signed)| signed),
                })?;
                evaluation.retype(typed);
            }
            Operation::PlusConstant { value } => {
                evaluation.push(Op::Const(value), evaluation.top_type());
                evaluation.binary(Op::Add)?;
            }
            Operation::Drop => evaluation.drop_top()?,
            Operation::Pick { index } => evaluation.pick(index)?,
            Operation::Swap => evaluation.swap()?,
            Operation::Neg => evaluation.unary(Op::Neg)?,
            Operation::Not => evaluation.unary(Op::Not)?,
            Operation::And => evaluation.binary(Op::And)?,
            Operation::Or => evaluation.binary(Op::Or)?,
            Operation::Xor => evaluation.binary(Op::Xor)?,
            Operation::Plus => evaluation.binary(Op::Add)?,
            Operation::Minus => evaluation.binary(Op::Sub)?,
            Operation::Mul => evaluation.binary(Op::Mul)?,
            Operation::Shl => evaluation.binary(Op::Shl)?,
            Operation::Shr => evaluation.shift_right(Op::Shr)?,
            Operation::Shra => evaluation.shift_right(Op::Sar)?,
            Operation::Div => evaluation.signed_or_not(Op::DivS, Op::DivU, true)?,
            // The generic type divides signed but takes the unsigned remainder.
            Operation::Mod => evaluation.signed_or_not(Op::RemS, Op::RemU, false)?,
            Operation::Eq => evaluation.compare(Op::Eq, Op::Eq, false)?,
            Operation::Ne => evaluation.compare(Op::Ne, Op::Ne, false)?,
            Operation::Lt => evaluation.compare(Op::LtS, Op::LtU, false)?,
            Operation::Le => evaluation.compare(Op::LeS, Op::LeU, false)?,
            Operation::Gt => evaluation.compare(Op::LtS, Op::LtU, true)?,
            Operation::Ge => evaluation.compare(Op::LeS, Op::LeU, true)?,
            _ => {
                return Err(Stop::unsupported(
                    "a location of a kind that is not read yet",
                ));
            }
        }
        Ok(())
    }

    /// The integer type at an offset in the unit; zero is the generic type.
    fn word_type(&self, unit: usize, base_type: UnitOffset) -> Result<Typed> {
        let offset = base_type.0;
        if offset == 0 {
            return Ok(None);
        }
        match self.info.type_at(DieRef { unit, offset })?.shape {
            Shape::Int { bytes, signed } | Shape::Char { bytes, signed } => {
                Ok(Some((bytes * 8, signed)))
            }
            Shape::Bool { bytes } => Ok(Some((bytes * 8, false))),
            _ => Err(Stop::unsupported("a location computed in floating point")),
        }
    }

    /// The frame base of the function around this place.
    fn frame_base(&self, depth: usize) -> Result<Code> {
        let Some(function) = self.function else {
            return Err(Stop::unsupported("a frame without a function"));
        };
        let die = self.info.die(function)?;
        let base = self.expression(&die, gimli::DW_AT_frame_base)?;
        let Some(base) = base else {
            return Err(Stop::optimized_out("the frame has no base at this address"));
        };
        match self.evaluate(function.unit, base, depth + 1)? {
            Storage::Memory(code) => Ok(code),
            // `DW_OP_reg6`: what the register holds.
            Storage::Pieces(mut pieces) => match (pieces.pop(), pieces.is_empty()) {
                (
                    Some(Piece {
                        at: PieceAt::Word(code),
                        ..
                    }),
                    true,
                ) => Ok(code),
                _ => Err(Stop::unsupported("a frame base in pieces")),
            },
        }
    }

    fn call_frame_address(&self, unit: usize, depth: usize) -> Result<Code> {
        match self.info.cfa(self.addr) {
            Some(Cfa::Register { number, offset }) => {
                Ok(Code::one(Op::Reg(general(number)?)).plus(offset.cast_unsigned()))
            }
            Some(Cfa::Expression(expression)) => {
                match self.evaluate(unit, expression, depth + 1)? {
                    Storage::Memory(code) => Ok(code),
                    Storage::Pieces(_) => Err(Stop::unsupported("a frame address in pieces")),
                }
            }
            None => Err(Stop::unsupported(
                "the file has no unwind table for this address",
            )),
        }
    }
}

/// A register of vectors or masks as programs number it, and how many lanes it has.
fn vector(number: u16) -> Option<(u8, u8)> {
    let (register, lanes) = match number {
        XMM0..33 => (number - XMM0, LANES),
        XMM16..83 => (number - XMM16 + 16, LANES),
        K0..126 => (number - K0 + 32, 1),
        _ => return None,
    };
    Some((u8::try_from(register).expect("below forty"), lanes))
}

fn general(number: u16) -> Result<Register> {
    // 16 is the return address column, which is no register that a variable can be in.
    Register::from_dwarf(number)
        .filter(|&register| register != Register::RIP)
        .ok_or_else(|| Stop::unsupported(format!("register {number} is not read")))
}

fn constant(value: AttributeValue<Bytes<'_>>) -> Result<Storage> {
    let word = match value {
        AttributeValue::Data1(value) => u64::from(value),
        AttributeValue::Data2(value) => u64::from(value),
        AttributeValue::Data4(value) => u64::from(value),
        AttributeValue::Data8(value) | AttributeValue::Udata(value) => value,
        AttributeValue::Sdata(value) => value.cast_unsigned(),
        AttributeValue::Data16(value) => {
            return Ok(Storage::Pieces(constant_pieces(&value.to_le_bytes())));
        }
        AttributeValue::Block(bytes) => {
            return Ok(Storage::Pieces(constant_pieces(bytes.slice())));
        }
        _ => {
            return Err(Stop::unsupported(
                "a constant of a kind that is not read yet",
            ));
        }
    };
    Ok(Storage::Pieces(vec![Piece {
        bytes: 8,
        at: PieceAt::Word(Code::constant(word)),
    }]))
}

fn constant_pieces(bytes: &[u8]) -> Vec<Piece> {
    // A megabyte of constant is nobody's variable.
    bytes
        .chunks(8)
        .take(512)
        .map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            Piece {
                bytes: chunk.len() as u64,
                at: PieceAt::Word(Code::constant(u64::from_le_bytes(word))),
            }
        })
        .collect()
}

/// The stack of a location expression while its code is made.
#[derive(Default)]
struct Evaluation {
    code: Code,
    /// One entry a word that `code` leaves on the stack.
    types: Vec<Typed>,
    /// What an operation like `DW_OP_reg` has said about the current piece.
    ready: Option<Vec<Piece>>,
    pieces: Vec<Piece>,
    in_pieces: bool,
}

impl Evaluation {
    fn push(&mut self, op: Op, typed: Typed) {
        self.push_code(Code::one(op), typed);
    }

    fn push_code(&mut self, code: Code, typed: Typed) {
        self.code = std::mem::take(&mut self.code).append(code);
        self.types.push(typed);
        self.normalise();
    }

    fn op(&mut self, op: Op) {
        self.code = std::mem::take(&mut self.code).then(op);
    }

    /// Brings the word on top into its type's range.
    fn normalise(&mut self) {
        if let Some(Some((bits, signed))) = self.types.last().copied()
            && bits < 64
        {
            self.op(Op::Extend { bits, signed });
        }
    }

    fn top_type(&self) -> Typed {
        self.types.last().copied().flatten()
    }

    fn retype(&mut self, typed: Typed) {
        if let Some(top) = self.types.last_mut() {
            *top = typed;
        }
    }

    fn need(&self, words: usize) -> Result<()> {
        match self.types.len() < words {
            true => Err(Stop::unsupported("a location that needs more than it has")),
            false => Ok(()),
        }
    }

    fn convert(&mut self, typed: Typed) -> Result<()> {
        self.need(1)?;
        self.retype(typed);
        self.normalise();
        Ok(())
    }

    fn unary(&mut self, op: Op) -> Result<()> {
        self.need(1)?;
        self.op(op);
        self.normalise();
        Ok(())
    }

    fn binary(&mut self, op: Op) -> Result<()> {
        self.need(2)?;
        self.types.pop();
        self.op(op);
        self.normalise();
        Ok(())
    }

    fn shift_right(&mut self, op: Op) -> Result<()> {
        self.need(2)?;
        // A typed word is extended by its own sign: only the shift of that sign is right.
        let value = self.types[self.types.len() - 2];
        if value.is_some_and(|(bits, signed)| bits < 64 && signed != (op == Op::Sar)) {
            return Err(Stop::unsupported("a location that shifts against the sign"));
        }
        self.binary(op)
    }

    fn signed_or_not(&mut self, signed: Op, unsigned: Op, generic_is_signed: bool) -> Result<()> {
        self.need(2)?;
        let is_signed = self
            .top_type()
            .map_or(generic_is_signed, |(_, signed)| signed);
        self.binary(if is_signed { signed } else { unsigned })
    }

    fn compare(&mut self, signed: Op, unsigned: Op, swapped: bool) -> Result<()> {
        self.need(2)?;
        let is_signed = self.top_type().is_none_or(|(_, signed)| signed);
        if swapped {
            self.op(Op::Swap);
        }
        self.types.pop();
        self.op(if is_signed { signed } else { unsigned });
        self.retype(None);
        Ok(())
    }

    fn drop_top(&mut self) -> Result<()> {
        self.need(1)?;
        self.types.pop();
        self.op(Op::Drop);
        Ok(())
    }

    fn pick(&mut self, index: u8) -> Result<()> {
        let index = usize::from(index);
        self.need(index + 1)?;
        let typed = self.types[self.types.len() - 1 - index];
        match index {
            0 => self.op(Op::Dup),
            1 => self.op(Op::Over),
            _ => {
                return Err(Stop::unsupported(
                    "a location that looks deep into its stack",
                ));
            }
        }
        self.types.push(typed);
        Ok(())
    }

    fn swap(&mut self) -> Result<()> {
        self.need(2)?;
        let len = self.types.len();
        self.types.swap(len - 1, len - 2);
        self.op(Op::Swap);
        Ok(())
    }

    /// The code for the one word on the stack.
    fn take_top(&mut self) -> Result<Code> {
        if self.types.len() != 1 {
            return Err(Stop::unsupported("a location that leaves words behind"));
        }
        self.types.clear();
        Ok(std::mem::take(&mut self.code))
    }

    fn piece(&mut self, bytes: u64) -> Result<()> {
        self.in_pieces = true;
        let at = match self.ready.take() {
            Some(mut parts) if bytes <= 8 && !parts.is_empty() => parts.swap_remove(0).at,
            Some(parts) => {
                // The low bytes of a register, and all of anything else.
                let mut told = 0;
                let mut taken = Vec::new();
                for part in parts {
                    if told < bytes || part.vector_lane().is_none() {
                        told += part.bytes;
                        taken.push(part);
                    }
                }
                if told != bytes {
                    return Err(Stop::unsupported(
                        "a piece that is larger than its register",
                    ));
                }
                self.pieces.extend(taken);
                return Ok(());
            }
            None if self.types.is_empty() => PieceAt::Gone,
            None => PieceAt::Memory(self.take_top()?),
        };
        self.pieces.push(Piece { bytes, at });
        Ok(())
    }

    fn finish(mut self) -> Result<Storage> {
        if self.in_pieces {
            return Ok(Storage::Pieces(self.pieces));
        }
        match self.ready.take() {
            Some(pieces) => Ok(Storage::Pieces(pieces)),
            None => self.take_top().map(Storage::Memory),
        }
    }
}
