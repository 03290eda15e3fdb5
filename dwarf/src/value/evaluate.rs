//! Location expressions (DWARF 5, 2.5 and 2.6), run over a frame.

use std::rc::Rc;

use gimli::{
    Encoding, Evaluation, EvaluationResult, Expression, Format, Location, Piece, UnitOffset,
    ValueType,
};

use super::call_site;
use super::object::{Gathered, ImplicitPointer, Object, why};
use super::thread_local;
use super::tree::{Absent, Reason};
use crate::image::Bytes;
use crate::info::{Die, DieRef, Info};
use crate::target::Target;
use crate::unwind::{FrameRegisters, Stack, is_vector, register_name};

/// The most operations of one expression, those of its loops included.
const MAX_OPERATIONS: u32 = 10_000;
/// How deep frame bases and entry values need other expressions.
const MAX_NESTING: usize = 8;
/// Why a variable has no value, where it has one elsewhere.
pub(super) const NOT_HERE: &str = "it has no value at this address";
/// `DW_OP_GNU_uninit`, the last operation of what has no value yet.
const UNINIT: u8 = 0xf0;
/// A unit's header, and never an entry: gcc 12 writes it into `.dwo` files (`DW_OP_implicit_pointer`).
const NO_ENTRY: gimli::DebugInfoOffset = gimli::DebugInfoOffset(0);

pub(crate) type Result<T> = std::result::Result<T, Absent>;

/// What expressions are run over.
#[derive(Clone)]
pub(crate) struct Context<'t, 'a> {
    pub(crate) target: &'t Target<'a>,
    pub(crate) module: usize,
    pub(crate) registers: &'t FrameRegisters,
    /// `None` for the rules of unwinding, which need no more than registers.
    pub(crate) frame: Option<FrameContext<'t, 'a>>,
    /// Whether registers that functions need not keep were kept.
    pub(crate) is_kept: bool,
    depth: usize,
}

#[derive(Clone)]
pub(crate) struct FrameContext<'t, 'a> {
    pub(crate) stack: &'t Stack<'a>,
    pub(crate) activation: usize,
    pub(crate) info: Rc<Info<'a>>,
    pub(crate) unit: usize,
}

impl<'t, 'a> Context<'t, 'a> {
    pub(crate) fn of_registers(
        target: &'t Target<'a>,
        module: usize,
        registers: &'t FrameRegisters,
    ) -> Context<'t, 'a> {
        Context {
            target,
            module,
            registers,
            frame: None,
            is_kept: false,
            depth: 0,
        }
    }

    /// Over an activation of a stack; `None` where nothing is known of its code.
    pub(crate) fn of_activation(
        target: &'t Target<'a>,
        stack: &'t Stack<'a>,
        activation: usize,
    ) -> Option<Context<'t, 'a>> {
        let found = stack.activations.get(activation)?;
        let code = found.code.as_ref()?;
        Some(Context {
            target,
            module: found.module?,
            registers: &found.registers,
            frame: Some(FrameContext {
                stack,
                activation,
                info: Rc::clone(&code.info),
                unit: code.unit,
            }),
            is_kept: false,
            depth: 0,
        })
    }

    /// The same for an entry of a unit, whose addresses may be indexes into the unit's own.
    pub(crate) fn within(&self, unit: usize) -> Context<'t, 'a> {
        let mut context = self.clone();
        if let Some(frame) = &mut context.frame {
            frame.unit = unit;
        }
        context
    }

    /// The same, one expression further down.
    pub(crate) fn nested(&self) -> Result<Context<'t, 'a>> {
        self.deeper(self.depth)
    }

    pub(crate) fn deeper(&self, depth: usize) -> Result<Context<'t, 'a>> {
        if depth >= MAX_NESTING {
            return Err(Absent::unsupported("a location that refers to itself"));
        }
        let mut nested = self.clone();
        nested.depth = depth + 1;
        Ok(nested)
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn frame(&self) -> Result<&FrameContext<'t, 'a>> {
        let frame = self.frame.as_ref();
        frame.ok_or_else(|| Absent::unsupported("a rule of unwinding that needs a frame"))
    }

    fn bias(&self) -> u64 {
        self.target.modules()[self.module].bias.0
    }

    /// An address of the file in the process.
    pub(crate) fn in_target(&self, address: u64) -> u64 {
        address.wrapping_add(self.bias())
    }

    fn encoding(&self) -> Encoding {
        let unit = self
            .frame
            .as_ref()
            .and_then(|frame| frame.info.unit(frame.unit).ok());
        unit.map_or(
            Encoding {
                address_size: 8,
                format: Format::Dwarf32,
                version: 4,
            },
            |unit| unit.encoding(),
        )
    }

    fn register(&self, number: u16) -> Result<Vec<u8>> {
        if let Some(bytes) = self.registers.bytes(number) {
            return Ok(bytes);
        }
        let carried = self.registers.carried(number).filter(|_| self.is_kept);
        let carried = carried.map(|value| value.to_le_bytes().to_vec());
        carried.ok_or_else(|| {
            let name = register_name(number);
            match &self.frame {
                Some(frame) if frame.activation == 0 => {
                    Absent::unsupported(format!("it is in {name}, which is not known here"))
                }
                _ => Absent::optimized_out(format!(
                    "it was in {name}, which the functions called since then do not keep"
                )),
            }
        })
    }

    fn value_type(&self, base_type: UnitOffset) -> Result<ValueType> {
        if base_type.0 == 0 {
            return Ok(ValueType::Generic);
        }
        let frame = self.frame()?;
        let at = DieRef {
            unit: frame.unit,
            offset: base_type.0,
        };
        let die = frame.info.die(at)?;
        let encoding = match die.attr(gimli::DW_AT_encoding) {
            Some(gimli::AttributeValue::Encoding(encoding)) => encoding,
            _ => return Err(Absent::unsupported("a location of an unknown type")),
        };
        let bytes = die.udata(gimli::DW_AT_byte_size).unwrap_or(0);
        let encoding = match encoding {
            gimli::DW_ATE_boolean
            | gimli::DW_ATE_unsigned_char
            | gimli::DW_ATE_UTF
            | gimli::DW_ATE_address => gimli::DW_ATE_unsigned,
            gimli::DW_ATE_signed_char => gimli::DW_ATE_signed,
            encoding => encoding,
        };
        ValueType::from_encoding(encoding, bytes)
            .ok_or_else(|| Absent::unsupported("a location computed in an unusual type"))
    }

    fn word_of(&self, bytes: &[u8], of: ValueType) -> Result<gimli::Value> {
        let bytes = gimli::EndianSlice::new(bytes, gimli::LittleEndian);
        Ok(match of {
            ValueType::Generic => {
                let mut word = [0; 8];
                let len = bytes.slice().len().min(8);
                word[..len].copy_from_slice(&bytes.slice()[..len]);
                gimli::Value::Generic(u64::from_le_bytes(word))
            }
            of => gimli::Value::parse(of, bytes)?,
        })
    }

    /// Runs an expression and tells where its value is.
    fn run(
        &self,
        expression: Expression<Bytes<'a>>,
        initial: Option<u64>,
    ) -> Result<Vec<Piece<Bytes<'a>>>> {
        let mut evaluation = Evaluation::new(expression.0, self.encoding());
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate()?;
        loop {
            result = match result {
                EvaluationResult::Complete => return Ok(evaluation.result()),
                EvaluationResult::RequiresMemory {
                    address,
                    size,
                    space: None,
                    base_type,
                } => {
                    let mut bytes = vec![0; usize::from(size)];
                    let read = self.target.read(address, &mut bytes);
                    read.map_err(|unread| why(unread, address))?;
                    let of = self.value_type(base_type)?;
                    evaluation.resume_with_memory(self.word_of(&bytes, of)?)?
                }
                EvaluationResult::RequiresRegister {
                    register,
                    base_type,
                } => {
                    let bytes = self.register(register.0)?;
                    let of = self.value_type(base_type)?;
                    evaluation.resume_with_register(self.word_of(&bytes, of)?)?
                }
                EvaluationResult::RequiresFrameBase => {
                    evaluation.resume_with_frame_base(self.frame_base()?)?
                }
                EvaluationResult::RequiresTls(offset) => {
                    let fs_base = self.registers.fs_base;
                    let at = thread_local::address(self.target, self.module, fs_base, offset)?;
                    evaluation.resume_with_tls(at)?
                }
                EvaluationResult::RequiresCallFrameCfa => {
                    let frame = self.frame()?;
                    let cfa = frame.stack.activations[frame.activation].cfa;
                    let cfa = cfa.ok_or_else(|| {
                        Absent::unsupported("the file has no unwind table for this address")
                    })?;
                    evaluation.resume_with_call_frame_cfa(cfa)?
                }
                EvaluationResult::RequiresAtLocation(reference) => {
                    evaluation.resume_with_at_location(self.called(reference)?)?
                }
                EvaluationResult::RequiresEntryValue(expression) => {
                    let value = call_site::entry_value(self, expression)?;
                    evaluation.resume_with_entry_value(gimli::Value::Generic(value))?
                }
                EvaluationResult::RequiresParameterRef(offset) => {
                    let value = call_site::parameter(self, offset)?;
                    evaluation.resume_with_parameter_ref(value)?
                }
                EvaluationResult::RequiresRelocatedAddress(address) => {
                    evaluation.resume_with_relocated_address(self.in_target(address))?
                }
                EvaluationResult::RequiresIndexedAddress { index, relocate } => {
                    let frame = self.frame()?;
                    let unit = frame.info.unit(frame.unit)?;
                    let address = frame.info.dwarf_of(frame.unit).address(&unit, index)?;
                    let address = match relocate {
                        true => self.in_target(address),
                        false => address,
                    };
                    evaluation.resume_with_indexed_address(address)?
                }
                EvaluationResult::RequiresBaseType(offset) => {
                    evaluation.resume_with_base_type(self.value_type(offset)?)?
                }
                _ => {
                    return Err(Absent::unsupported(
                        "a location of a kind that is not read yet",
                    ));
                }
            };
        }
    }

    /// What `DW_OP_call` runs; nothing where the entry has no location.
    fn called(&self, reference: gimli::DieReference) -> Result<Bytes<'a>> {
        let frame = self.frame()?;
        let value = match reference {
            gimli::DieReference::UnitRef(offset) => gimli::AttributeValue::UnitRef(offset),
            gimli::DieReference::DebugInfoRef(offset) => {
                gimli::AttributeValue::DebugInfoRef(offset)
            }
        };
        let at = frame.info.reference(frame.unit, value);
        let at = at.ok_or_else(|| Absent::unsupported("a location that calls nothing"))?;
        let die = frame.info.die(at)?;
        match self.location(&die, gimli::DW_AT_location)? {
            Some(expression) => Ok(expression.0),
            None => Ok(gimli::EndianSlice::new(&[], gimli::LittleEndian)),
        }
    }

    fn referred(&self, offset: gimli::DebugInfoOffset) -> Option<DieRef> {
        let frame = self.frame.as_ref()?;
        let value = gimli::AttributeValue::DebugInfoRef(offset);
        frame.info.reference(frame.unit, value)
    }

    /// The location expression of a DIE that holds at the frame's address.
    pub(crate) fn location(
        &self,
        die: &Die<'a>,
        name: gimli::DwAt,
    ) -> Result<Option<Expression<Bytes<'a>>>> {
        let frame = self.frame()?;
        Ok(match die.attr(name) {
            None => None,
            Some(gimli::AttributeValue::Exprloc(expression)) => Some(expression),
            Some(gimli::AttributeValue::Block(bytes)) => Some(Expression(bytes)),
            Some(list) => {
                let addr = frame.stack.activations[frame.activation].addr;
                frame.info.listed_location(die, list, addr, None)?
            }
        }
        .filter(|expression| !expression.0.is_empty()))
    }

    /// `DW_AT_frame_base` of the function.
    fn frame_base(&self) -> Result<u64> {
        let frame = self.frame()?;
        let code = frame.stack.activations[frame.activation].code.as_ref();
        let function = code.and_then(|code| Some(code.die(code.function()?)));
        let function = function.ok_or_else(|| Absent::unsupported("a frame without a function"))?;
        let die = frame.info.die(function)?;
        let base = self.location(&die, gimli::DW_AT_frame_base)?;
        let base =
            base.ok_or_else(|| Absent::optimized_out("the frame has no base at this address"))?;
        let mut context = self.nested()?;
        if let Some(frame) = &mut context.frame {
            frame.unit = function.unit;
        }
        address(&context, base, None)
    }
}

/// Runs an expression that tells an address, or a register with one.
pub(crate) fn address<'a>(
    context: &Context<'_, 'a>,
    expression: Expression<Bytes<'a>>,
    initial: Option<u64>,
) -> Result<u64> {
    let pieces = context.run(expression, initial)?;
    match pieces.as_slice() {
        [piece] => match &piece.location {
            Location::Address { address } => Ok(*address),
            Location::Register { register } => {
                let bytes = context.register(register.0)?;
                let word = bytes.first_chunk::<8>();
                let word = word.ok_or_else(|| Absent::unsupported("an address too short"))?;
                Ok(u64::from_le_bytes(*word))
            }
            Location::Value { value } => Ok(value.to_u64(!0)?),
            _ => Err(Absent::unsupported("an address that is none")),
        },
        _ => Err(Absent::unsupported("an address in pieces")),
    }
}

/// Runs an expression that tells where a value of so many bytes is.
pub(crate) fn object<'a>(
    context: &Context<'_, 'a>,
    expression: Expression<Bytes<'a>>,
    size: Option<u64>,
) -> Result<Object> {
    if expression.0.slice().last() == Some(&UNINIT) {
        return Err(Absent::new(
            Reason::NotLive,
            "maybe not initialised, as gcc marks it",
        ));
    }
    let pieces = context.run(expression, None)?;
    if let [piece] = pieces.as_slice()
        && let Location::Address { address } = piece.location
        && piece.size_in_bits.is_none()
    {
        return Ok(Object::Memory(address));
    }
    let is_nothing = |piece: &Piece<Bytes<'a>>| matches!(piece.location, Location::Empty);
    if pieces.iter().all(is_nothing) {
        return Err(Absent::optimized_out(NOT_HERE));
    }
    let whole = size
        .unwrap_or(8)
        .checked_mul(8)
        .filter(|&bits| Gathered::may_hold(bits))
        .ok_or_else(|| Absent::unsupported("a large value that is not in memory"))?;
    let mut parts = Gathered::default();
    for piece in &pieces {
        let left = whole.saturating_sub(parts.len());
        let size = piece.size_in_bits.unwrap_or(left).min(left);
        add(context, piece, size, &mut parts);
    }
    Ok(Object::gathered(parts))
}

fn add<'a>(context: &Context<'_, 'a>, piece: &Piece<Bytes<'a>>, size: u64, parts: &mut Gathered) {
    let offset = piece.bit_offset.unwrap_or(0);
    if let Location::ImplicitPointer { value, byte_offset } = piece.location
        && value != NO_ENTRY
        && let Some(to) = context.referred(value)
    {
        let offset = byte_offset;
        return parts.point(size, ImplicitPointer { to, offset });
    }
    if let Location::Register { register } = piece.location
        && is_vector(register.0)
        && let Ok(bytes) = context.register(register.0)
    {
        let there = (bytes.len() as u64 * 8).saturating_sub(offset).min(size);
        parts.push(&bytes, offset, there);
        let name = register_name(register.0);
        let why = format!("only the first {} bytes of {name} are known", bytes.len());
        if there < size {
            parts.miss(size - there, Absent::unsupported(why));
        }
        return;
    }
    let bytes = match &piece.location {
        Location::Empty => Err(Absent::optimized_out("this part of it is gone")),
        Location::Register { register } => context.register(register.0),
        Location::Address { address } => {
            let len = offset.saturating_add(size).div_ceil(8);
            let address = *address;
            match usize::try_from(len)
                .ok()
                .filter(|_| Gathered::may_hold(len * 8))
            {
                Some(len) => {
                    let mut bytes = vec![0; len];
                    let read = context.target.read(address, &mut bytes);
                    read.map(|()| bytes).map_err(|unread| why(unread, address))
                }
                None => Err(Absent::unsupported("a piece that is too large")),
            }
        }
        Location::Value { value } => Ok(bytes_of(*value)),
        Location::Bytes { value } => Ok(value.slice().to_vec()),
        Location::ImplicitPointer {
            value: NO_ENTRY, ..
        } => Err(Absent::optimized_out(
            "it has no address, and the compiler left out what it points to",
        )),
        Location::ImplicitPointer { .. } => Err(Absent::unsupported(
            "a pointer to what debug info does not have",
        )),
    };
    match bytes {
        Ok(bytes) => parts.push(&bytes, offset, size),
        Err(why) => parts.miss(size, why),
    }
}

fn bytes_of(value: gimli::Value) -> Vec<u8> {
    use gimli::Value;
    match value {
        Value::Generic(value) | Value::U64(value) => value.to_le_bytes().to_vec(),
        Value::I64(value) => value.to_le_bytes().to_vec(),
        // What is computed in a narrow type has a wide one where the variable has.
        Value::I8(value) => i64::from(value).to_le_bytes().to_vec(),
        Value::I16(value) => i64::from(value).to_le_bytes().to_vec(),
        Value::I32(value) => i64::from(value).to_le_bytes().to_vec(),
        Value::U8(value) => u64::from(value).to_le_bytes().to_vec(),
        Value::U16(value) => u64::from(value).to_le_bytes().to_vec(),
        Value::U32(value) => u64::from(value).to_le_bytes().to_vec(),
        Value::F32(value) => value.to_le_bytes().to_vec(),
        Value::F64(value) => value.to_le_bytes().to_vec(),
    }
}
