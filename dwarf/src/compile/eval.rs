use lr_probe::{ContextWord, MAX_OPS, Op, Register};

use super::code::Code;
use super::equality::not_called;
use super::live::Live;
use super::scope::{Meaning, Scope};
use super::stop::{Result, Stop};
use super::storage::Storage;
use super::value::{At, Value};
use crate::error::CompileErrorKind;
use crate::expr::{Expr, Kind, Precision, REGISTERS, Special, Suffix, Unary};
use crate::info::{Die, Language};
use crate::types::{Shape, Target, Type};

/// Turns expressions into values; keeps the constant bytes that comparisons need.
pub(crate) struct Evaluator<'a, 's> {
    pub(crate) scope: &'s Scope<'a>,
    /// The frame that is read, where there is one: what only walks find is found at once.
    pub(crate) live: Option<&'s dyn Live<'a>>,
    /// It is of a stack, and of no hit.
    pub(crate) is_watch: bool,
    pub(crate) pool: Vec<u8>,
}

/// What a name means.
pub(crate) enum Named<'a> {
    Variable(Die<'a>),
    /// A member of `*this`.
    Value(Value),
}

impl<'a> Evaluator<'a, '_> {
    pub(crate) fn value(&mut self, expr: &Expr) -> Result<Value> {
        let column = expr.column;
        let value = match &expr.kind {
            Kind::Int { value, suffix } => self.int_literal(*value, *suffix),
            Kind::Float(value, precision) => self.float_literal(*value, *precision),
            Kind::Char(value) => self.char_literal(*value),
            Kind::Bool(value) => Value::word(Type::bool(), Code::constant(u64::from(*value))),
            Kind::Null => {
                let shape = Shape::Pointer {
                    target: Target::Void,
                    reference: false,
                };
                Value::word(Type::named("void *", shape), Code::constant(0))
            }
            Kind::Text(_) => {
                return Err(Stop::types(
                    column,
                    "a value that is not a text alone",
                    "a text",
                ));
            }
            Kind::Name(path) => self.name(column, path)?,
            Kind::Global(name) => self.global(column, name)?,
            Kind::Special(special) => self.special(column, *special)?,
            Kind::Member(inner, name) => {
                let inner = self.value(inner)?;
                self.scope.member(column, inner, name)?
            }
            Kind::Index(inner, index) => self.index(column, inner, index)?,
            Kind::Unary(unary, inner) => self.unary(column, *unary, inner)?,
            Kind::Binary(binary, left, right) => self.binary(column, *binary, left, right)?,
            Kind::Cast(inner, of) => self.cast(inner, of)?,
            Kind::Len(inner) => self.length(column, inner)?,
            Kind::Slice(inner, range) => self.slice(column, inner, range)?,
            Kind::Is(inner, test) => self.is(column, inner, *test)?,
            Kind::Variant(path, _) => return Err(not_called(column, path)),
        };
        // Words that are used twice double their code: nesting them is stopped before it is large.
        let too_large = match &value.at {
            At::Word(code) | At::Stored(Storage::Memory(code)) => code.len() > MAX_OPS,
            At::Elements(elements) => elements.first.len() > MAX_OPS,
            At::Spread(spread) => spread.length.len() > MAX_OPS,
            At::Stored(Storage::Pieces(_)) => false,
        };
        if too_large {
            return Err(Stop::Refused {
                column,
                kind: CompileErrorKind::TooLarge {
                    why: format!("the expression needs more than {MAX_OPS} operations"),
                },
            });
        }
        Ok(value)
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.scope.language == Language::Rust
    }

    fn name(&mut self, column: usize, path: &[String]) -> Result<Value> {
        match self.named(column, path)? {
            Named::Variable(die) => self.variable_value(&die),
            Named::Value(value) => Ok(value),
        }
    }

    fn global(&mut self, column: usize, name: &str) -> Result<Value> {
        let named = match self.scope.outermost(column, name) {
            Ok(die) => Named::Variable(die),
            Err(stop) => self.constant(&[name.to_owned()], stop)?,
        };
        match named {
            Named::Variable(die) => self.variable_value(&die),
            Named::Value(value) => Ok(value),
        }
    }

    pub(crate) fn named(&mut self, column: usize, path: &[String]) -> Result<Named<'a>> {
        match self.scope.variable(column, path) {
            Ok(die) => Ok(Named::Variable(die)),
            // In a C++ method a name may be a member of `*this`, unless a local has that name.
            Err(stop) => match (self.scope.language, path) {
                (Language::Cpp, [name])
                    if !matches!(self.scope.meaning(name)?, Meaning::Absent(..)) =>
                {
                    let Ok(this) = self.scope.variable(column, &["this".to_owned()]) else {
                        return Err(stop);
                    };
                    let this = self.variable_value(&this)?;
                    let member = self.scope.member(column, this, name);
                    member
                        .map(Named::Value)
                        .or_else(|_| self.constant(path, stop))
                }
                _ => self.constant(path, stop),
            },
        }
    }

    /// An enumerator that is known here, where no variable of the name is.
    fn constant(&self, path: &[String], stop: Stop) -> Result<Named<'a>> {
        let unknown = matches!(
            stop,
            Stop::Refused {
                kind: CompileErrorKind::UnknownVariable { .. },
                ..
            }
        );
        match unknown.then(|| self.scope.enumerator(path)).transpose()? {
            Some(Some((of, value))) => Ok(Named::Value(Value::word(of, Code::constant(value)))),
            _ => Err(stop),
        }
    }

    fn variable_value(&mut self, die: &Die<'a>) -> Result<Value> {
        let die = self.scope.info.die(die.at)?;
        let of = match self.scope.info.type_die_of(die.at)? {
            Some(at) => self.scope.info.type_at(at)?,
            None => return Err(Stop::unsupported("a variable without a type")),
        };
        let storage = match self.live {
            Some(live) => live.storage(&die)?,
            None => self.scope.storage(&die)?,
        };
        Ok(Value::stored(of, storage))
    }

    fn special(&mut self, column: usize, special: Special) -> Result<Value> {
        if let Special::Register(register) = special {
            return self.register(register);
        }
        if self.is_watch && !matches!(special, Special::Line) {
            let found = "what is only known of a hit";
            return Err(Stop::types(column, "a value of the process", found));
        }
        let word = |name: &str, word: ContextWord| {
            let of = Type::int(name, 8, false);
            Ok(Value::word(of, Code::one(Op::Context(word))))
        };
        match special {
            Special::Pid => word("pid_t", ContextWord::Pid),
            Special::Tid => word("pid_t", ContextWord::Tid),
            Special::Time => word("nanoseconds", ContextWord::Time),
            Special::Hits => word("count", ContextWord::Hits),
            Special::Line => {
                let line = u64::from(self.scope.place.line);
                Ok(Value::word(
                    Type::int("line", 4, false),
                    Code::constant(line),
                ))
            }
            Special::Thread | Special::Function | Special::Register(_) => Err(Stop::types(
                column,
                "a value that can be computed with",
                "a name that is only known to the template",
            )),
        }
    }

    fn register(&self, register: u8) -> Result<Value> {
        let name = REGISTERS[usize::from(register)];
        let word = match self.live {
            Some(live) => Code::constant(live.register(register).ok_or_else(|| {
                let detail = format!("{name} is not known in this frame");
                Stop::optimized_out(detail)
            })?),
            None => match Register::from_dwarf(u16::from(register)) {
                Some(register) => Code::one(Op::Reg(register)),
                None => return Err(Stop::unsupported(format!("register {name}"))),
            },
        };
        let of = if self.is_rust() {
            "u64"
        } else {
            "unsigned long"
        };
        Ok(Value::word(Type::int(of, 8, false), word))
    }

    fn int_literal(&self, value: u64, suffix: Suffix) -> Value {
        let small = i32::try_from(value).is_ok();
        let positive = i64::try_from(value).is_ok();
        let of = match (suffix, self.is_rust()) {
            (Suffix::Rust { bytes, signed }, _) => {
                let sign = if signed { 'i' } else { 'u' };
                Type::int(&format!("{sign}{}", u32::from(bytes) * 8), bytes, signed)
            }
            (Suffix::None, true) if small => Type::int("i32", 4, true),
            (Suffix::None, true) if positive => Type::int("i64", 8, true),
            (_, true) => Type::int("u64", 8, false),
            (Suffix::None, false) if small => Type::int("int", 4, true),
            (Suffix::None, false) if positive => Type::int("long", 8, true),
            (Suffix::C { unsigned, long }, false) => {
                let fits = if unsigned {
                    u32::try_from(value).is_ok()
                } else {
                    small
                };
                match (unsigned || !positive, long || !fits) {
                    (false, false) => Type::int("int", 4, true),
                    (false, true) => Type::int("long", 8, true),
                    (true, false) => Type::int("unsigned int", 4, false),
                    (true, true) => Type::int("unsigned long", 8, false),
                }
            }
            (Suffix::None, false) => Type::int("unsigned long", 8, false),
        };
        let mut literal = Value::word(of, Code::constant(value));
        literal.untyped = suffix == Suffix::None;
        literal
    }

    fn float_literal(&self, value: f64, precision: Precision) -> Value {
        let bytes = if precision == Precision::Single { 4 } else { 8 };
        let mut literal = Value::word(self.float(bytes), Code::constant(value.to_bits()));
        literal.untyped = precision == Precision::Unsaid;
        literal
    }

    pub(crate) fn float(&self, bytes: u8) -> Type {
        let name = match (self.is_rust(), bytes) {
            (true, 4) => "f32",
            (true, _) => "f64",
            (false, 4) => "float",
            (false, _) => "double",
        };
        Type::named(name, Shape::Float { bytes })
    }

    fn char_literal(&self, value: char) -> Value {
        let bytes = if self.is_rust() { 4 } else { 1 };
        let code = u32::from(value);
        let of = match u8::try_from(code) {
            _ if self.is_rust() => Type::named(
                "char",
                Shape::Char {
                    bytes,
                    signed: false,
                },
            ),
            Ok(_) => Type::named(
                "char",
                Shape::Char {
                    bytes,
                    signed: true,
                },
            ),
            Err(_) => Type::named(
                "char32_t",
                Shape::Char {
                    bytes: 4,
                    signed: false,
                },
            ),
        };
        let signed = matches!(
            of.shape,
            Shape::Char {
                bytes: 1,
                signed: true
            }
        );
        let word = match (signed, u8::try_from(code)) {
            // C's plain char is signed here (System V psABI for x86-64).
            (true, Ok(byte)) => i64::from(byte.cast_signed()).cast_unsigned(),
            _ => u64::from(code),
        };
        Value::word(of, Code::constant(word))
    }

    fn unary(&mut self, column: usize, unary: Unary, inner: &Expr) -> Result<Value> {
        let value = self.value(inner)?;
        match unary {
            Unary::AddressOf => return self.scope.address_of(value),
            Unary::Deref => return self.deref(column, value),
            Unary::Neg | Unary::Not | Unary::BitNot => {}
        }
        let value = self.scope.unwrapped(self.scope.read(value)?)?;
        let word = match unary {
            Unary::Not if !self.is_rust() => self.truth(column, &value)?,
            _ if value.of.is_scalar() => self.scope.word(&value)?,
            _ => return Err(not_a_number(column, &value)),
        };
        if unary == Unary::Not && (!self.is_rust() || matches!(value.of.shape, Shape::Bool { .. }))
        {
            return Ok(Value::word(Type::bool(), word.then(Op::IsZero)));
        }
        if matches!(value.of.shape, Shape::Float { .. }) && unary == Unary::Neg {
            return Ok(Value {
                of: value.of,
                at: At::Word(word.then(Op::FNeg)),
                untyped: value.untyped,
            });
        }
        let of = self.promoted(&value.of);
        let Shape::Int { bytes, signed } = of.shape else {
            return Err(not_a_number(column, &value));
        };
        let op = if unary == Unary::Neg {
            Op::Neg
        } else {
            Op::Not
        };
        Ok(Value {
            at: At::Word(word.then(op).extend(bytes, signed)),
            of,
            untyped: value.untyped,
        })
    }

    fn deref(&mut self, column: usize, value: Value) -> Result<Value> {
        let value = self.scope.decay(value)?;
        if let Some(inner) = self.scope.through(&value)? {
            return Ok(inner);
        }
        let Shape::Pointer { target, reference } = &value.of.shape else {
            let found = format!("`{}`", value.of.name);
            return Err(Stop::types(column, "a pointer to follow", found));
        };
        let of = self.scope.info.target(target)?;
        let followed = Value::memory(of, self.scope.word(&value)?);
        // C++: the reference is what it refers to, so `*` is meant for that.
        if *reference && self.scope.language == Language::Cpp {
            return self.deref(column, followed);
        }
        Ok(followed)
    }

    /// One or zero: whether a value counts as true.
    pub(crate) fn truth(&mut self, column: usize, value: &Value) -> Result<Code> {
        let value = self.scope.decay(value.clone())?;
        if !value.of.is_scalar() {
            return Err(Stop::types(
                column,
                "a value that is true or false",
                format!("`{}`", value.of.name),
            ));
        }
        let word = self.scope.word(&value)?;
        Ok(match value.of.shape {
            Shape::Float { .. } => word.then(Op::Const(0)).then(Op::FNe),
            Shape::Bool { .. } if matches!(value.at, At::Word(_)) => word,
            _ => word.truth(),
        })
    }

    fn cast(&mut self, inner: &Expr, name: &crate::expr::TypeName) -> Result<Value> {
        let value = self.value(inner)?;
        let value = self.scope.read(value)?;
        if let Some(held) = self.scope.alternative_as(&value, name)? {
            return Ok(held);
        }
        let value = self.scope.decay(self.scope.unwrapped(value)?)?;
        let of = self.scope.named_type(name)?;
        if !value.of.is_scalar() {
            return Err(Stop::types(
                name.column,
                "a number or a pointer to cast",
                format!("`{}`", value.of.name),
            ));
        }
        let word = self.scope.word(&value)?;
        let from_float = matches!(value.of.shape, Shape::Float { .. });
        let from_signed = is_signed(&value.of.shape);
        let word = match of.shape {
            Shape::Float { .. } if from_float => word.rounded(&of.shape),
            Shape::Float { bytes: 4 } => word.then(Op::IntToF32 {
                signed: from_signed,
            }),
            Shape::Float { .. } => word.then(Op::IntToF64 {
                signed: from_signed,
            }),
            Shape::Bool { .. } => self.truth(name.column, &value)?,
            Shape::Int { bytes, signed }
            | Shape::Char { bytes, signed }
            | Shape::Enum { bytes, signed, .. }
                if from_float =>
            {
                let bits = bytes * 8;
                let word = match self.is_rust() {
                    true => word,
                    // What does not fit is undefined in C.
                    false => word.within(bits, signed),
                };
                word.then(Op::F64ToInt { signed })
                    .then(Op::Clamp { bits, signed })
            }
            Shape::Int { bytes, signed }
            | Shape::Char { bytes, signed }
            | Shape::Enum { bytes, signed, .. } => word.extend(bytes, signed),
            Shape::Pointer { .. } if !from_float => word,
            _ => {
                let found = format!("`{}`", of.name);
                return Err(Stop::types(
                    name.column,
                    "a number or a pointer type",
                    found,
                ));
            }
        };
        Ok(Value::word(of, word))
    }
}

impl Code {
    /// The double on top, which fails where an integer of so many bits does not hold it.
    fn within(self, bits: u8, signed: bool) -> Code {
        let top = 2f64.powi(i32::from(bits) - i32::from(signed));
        // Truncation is toward zero: what is above -1 is zero. One below -2^63 is no double.
        let (least, op) = match (signed, bits) {
            (false, _) => (-1.0, Op::FLt),
            (true, 64) => (-top, Op::FLe),
            (true, _) => (-top - 1.0, Op::FLt),
        };
        let or_fail = |code: Code| {
            code.then(Op::JumpIfNotZero(1))
                .then(Op::Fail(lr_probe::Reason::OutOfRange))
        };
        let above = self
            .then(Op::Dup)
            .then(Op::Const(least.to_bits()))
            .then(Op::Swap)
            .then(op);
        let below = or_fail(above)
            .then(Op::Dup)
            .then(Op::Const(top.to_bits()))
            .then(Op::FLt);
        or_fail(below)
    }
}

pub(crate) fn is_signed(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::Int { signed: true, .. }
            | Shape::Char { signed: true, .. }
            | Shape::Enum { signed: true, .. }
    )
}

pub(crate) fn not_a_number(column: usize, value: &Value) -> Stop {
    Stop::types(column, "a number", format!("`{}`", value.of.name))
}
