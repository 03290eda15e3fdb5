use lr_probe::Op;

use super::code::Code;
use super::equality::{Is, Operand, not_called};
use super::eval::{Evaluator, is_signed, not_a_number};
use super::stop::{Result, Stop};
use super::value::{At, Value};
use crate::error::CompileErrorKind;
use crate::expr::{Binary, Expr, Kind};
use crate::types::{Shape, Type};

impl Evaluator<'_, '_> {
    pub(crate) fn binary(
        &mut self,
        column: usize,
        binary: Binary,
        left: &Expr,
        right: &Expr,
    ) -> Result<Value> {
        if let Binary::And | Binary::Or = binary {
            return self.logical(binary, left, right);
        }
        let (left, right) = (self.operand(left)?, self.operand(right)?);
        if binary.is_comparison() {
            return self.compared(column, binary, left, right);
        }
        for side in [&left, &right] {
            if let Is::Text(_) | Is::Thread = side.is {
                let expected = format!("numbers for `{}`", binary.sign());
                return Err(Stop::types(column, expected, "a text"));
            }
        }
        self.computed(column, binary, left, right)
    }

    /// One or zero: variants, optionals and texts in their own ways, the others as numbers.
    pub(crate) fn compared(
        &mut self,
        column: usize,
        binary: Binary,
        left: Operand<'_>,
        right: Operand<'_>,
    ) -> Result<Value> {
        if let Binary::Eq | Binary::Ne = binary
            && let Some(code) = self.pattern_equality(column, &left, &right)?
        {
            let code = match binary {
                Binary::Eq => code,
                _ => code.then(Op::IsZero),
            };
            return Ok(Value::word(Type::bool(), code));
        }
        match self.text_comparison(column, binary, &left, &right)? {
            Some(value) => Ok(value),
            None => self.computed(column, binary, left, right),
        }
    }

    fn computed(
        &mut self,
        column: usize,
        binary: Binary,
        left: Operand<'_>,
        right: Operand<'_>,
    ) -> Result<Value> {
        let (left, right) = self.values(left, right)?;
        let (left, right) = (self.decayed(left)?, self.decayed(right)?);
        let pointers = [&left, &right].map(|value| matches!(value.of.shape, Shape::Pointer { .. }));
        if pointers != [false, false] && !binary.is_comparison() {
            return self.pointer_arithmetic(column, binary, left, right);
        }
        for value in [&left, &right] {
            if !value.of.is_scalar() {
                return Err(not_a_number(column, value));
            }
        }
        let common = self.common(column, binary, &left, &right)?;
        let (a, b) = (
            self.converted(&left, &common)?,
            self.converted(&right, &common)?,
        );
        let float = matches!(common.shape, Shape::Float { .. });
        if binary.is_comparison() {
            let code = compare(binary, a, b, float, is_signed(&common.shape));
            return Ok(Value::word(Type::bool(), code));
        }
        let untyped = left.untyped && right.untyped;
        let mut value = match (float, &common.shape) {
            (true, _) => {
                let op = match binary {
                    Binary::Add => Op::FAdd,
                    Binary::Sub => Op::FSub,
                    Binary::Mul => Op::FMul,
                    Binary::Div => Op::FDiv,
                    _ => return Err(not_whole(column, binary, &common)),
                };
                let code = a.append(b).then(op).rounded(&common.shape);
                Value::word(common, code)
            }
            (false, Shape::Int { .. }) => {
                self.integer_arithmetic(binary, &left, &right, common, a, b)?
            }
            (false, Shape::Bool { .. }) => {
                let op = match binary {
                    Binary::BitAnd => Op::And,
                    Binary::BitOr => Op::Or,
                    Binary::BitXor => Op::Xor,
                    _ => return Err(not_a_number(column, &left)),
                };
                Value::word(common, a.append(b).then(op))
            }
            _ => return Err(not_a_number(column, &left)),
        };
        value.untyped = untyped;
        Ok(value)
    }

    /// Both operands; an enumerator's name is understood beside a value of its enumeration.
    fn values(&mut self, left: Operand<'_>, right: Operand<'_>) -> Result<(Value, Value)> {
        let unknown = |of: &Operand<'_>| match (&of.is, of.expr.map(|expr| &expr.kind)) {
            (Is::Unknown(stop), _) => stop.clone(),
            (_, Some(Kind::Variant(path, _))) => {
                not_called(of.expr.map_or(0, |expr| expr.column), path)
            }
            _ => Stop::types(
                of.expr.map_or(0, |expr| expr.column),
                "a value that can be computed with",
                "a text",
            ),
        };
        match (&left.is, &right.is) {
            (Is::Value(a), Is::Value(b)) => Ok((a.clone(), b.clone())),
            (Is::Value(a), _) => {
                let b = self.enumerator(a, right.expr, unknown(&right))?;
                Ok((a.clone(), b))
            }
            (_, Is::Value(b)) => {
                let a = self.enumerator(b, left.expr, unknown(&left))?;
                Ok((a, b.clone()))
            }
            (_, _) => Err(unknown(&left)),
        }
    }

    fn enumerator(&mut self, beside: &Value, expr: Option<&Expr>, stop: Stop) -> Result<Value> {
        let unknown = matches!(
            stop,
            Stop::Refused {
                kind: CompileErrorKind::UnknownVariable { .. },
                ..
            }
        );
        let (Some(Kind::Name(path)), Shape::Enum { die, .. }, true) =
            (expr.map(|expr| &expr.kind), &beside.of.shape, unknown)
        else {
            return Err(stop);
        };
        let wanted = path.last().map_or("", String::as_str);
        if !self.is_path_of(&beside.of, path) {
            return Err(stop);
        }
        let all = self.scope.info.enumerators(*die)?;
        match all.into_iter().find(|(_, name)| name == wanted) {
            Some((value, _)) => Ok(Value::word(beside.of.clone(), Code::constant(value))),
            None => Err(stop),
        }
    }

    /// What arithmetic and comparisons take: what is in wrappers, arrays as pointers.
    fn decayed(&mut self, value: Value) -> Result<Value> {
        self.scope.decay(self.scope.unwrapped(value)?)
    }

    fn logical(&mut self, binary: Binary, left: &Expr, right: &Expr) -> Result<Value> {
        let mut words = Vec::new();
        for side in [left, right] {
            let value = self.value(side)?;
            let value = self.scope.unwrapped(self.scope.read(value)?)?;
            words.push(self.truth(side.column, &value)?);
        }
        let (right, left) = (
            words.pop().unwrap_or_default(),
            words.pop().unwrap_or_default(),
        );
        let decided = left
            .as_constant()
            .map(|word| (word != 0) == (binary == Binary::Or));
        match decided {
            Some(true) => return Ok(Value::word(Type::bool(), left)),
            Some(false) => return Ok(Value::word(Type::bool(), right)),
            None => {}
        }
        let skip = u16::try_from(right.len() + 1).unwrap_or(u16::MAX);
        let (jump, otherwise) = match binary {
            Binary::And => (Op::JumpIfZero(skip), 0),
            _ => (Op::JumpIfNotZero(skip), 1),
        };
        let code = left
            .then(jump)
            .append(right)
            .then(Op::Jump(1))
            .then(Op::Const(otherwise));
        Ok(Value::word(Type::bool(), code))
    }

    fn pointer_arithmetic(
        &mut self,
        column: usize,
        binary: Binary,
        left: Value,
        right: Value,
    ) -> Result<Value> {
        let size = |value: &Value| -> Result<Option<u64>> {
            match &value.of.shape {
                Shape::Pointer { target, .. } => {
                    let of = self.scope.info.target(target)?;
                    let size = self.scope.info.size(&of)?.filter(|&size| size > 0);
                    match size {
                        Some(size) => Ok(Some(size)),
                        None => {
                            let found = format!("`{}`", value.of.name);
                            Err(Stop::types(
                                column,
                                "a pointer to something of known size",
                                found,
                            ))
                        }
                    }
                }
                _ => Ok(None),
            }
        };
        let scaled = |code: Code, size: u64| match size {
            1 => code,
            size => code.then(Op::Const(size)).then(Op::Mul),
        };
        let sizes = (size(&left)?, size(&right)?);
        let (a, b) = (self.scope.word(&left)?, self.scope.word(&right)?);
        let is_int = |value: &Value| matches!(self.promoted(&value.of).shape, Shape::Int { .. });
        match (binary, sizes) {
            (Binary::Add, (Some(size), None)) if is_int(&right) => Ok(Value::word(
                left.of,
                a.append(scaled(b, size)).then(Op::Add),
            )),
            (Binary::Add, (None, Some(size))) if is_int(&left) => Ok(Value::word(
                right.of,
                scaled(a, size).append(b).then(Op::Add),
            )),
            (Binary::Sub, (Some(size), None)) if is_int(&right) => Ok(Value::word(
                left.of,
                a.append(scaled(b, size)).then(Op::Sub),
            )),
            (Binary::Sub, (Some(size), Some(other))) if size == other => {
                let code = a
                    .append(b)
                    .then(Op::Sub)
                    .then(Op::Const(size))
                    .then(Op::DivS);
                Ok(Value::word(Type::int("long", 8, true), code))
            }
            _ => Err(Stop::types(
                column,
                format!("numbers for `{}`", binary.sign()),
                format!("`{}` and `{}`", left.of.name, right.of.name),
            )),
        }
    }

    fn integer_arithmetic(
        &mut self,
        binary: Binary,
        left: &Value,
        right: &Value,
        common: Type,
        a: Code,
        b: Code,
    ) -> Result<Value> {
        // The type of a shift is that of its left operand alone.
        let shift = matches!(binary, Binary::Shl | Binary::Shr);
        let of = if shift {
            self.promoted(&left.of)
        } else {
            common
        };
        let Shape::Int { bytes, signed } = of.shape else {
            return Err(Stop::unsupported(of.name));
        };
        let (a, b) = match shift {
            // More than there are bits: undefined in C, a panic in Rust.
            true => {
                let limit = u64::from(bytes) * 8;
                let by = self.scope.word(right)?.then(Op::Bound { limit });
                (self.converted(left, &of)?, by)
            }
            false => (a, b),
        };
        let op = match (binary, signed) {
            (Binary::Add, _) => Op::Add,
            (Binary::Sub, _) => Op::Sub,
            (Binary::Mul, _) => Op::Mul,
            (Binary::Div, true) => Op::DivS,
            (Binary::Div, false) => Op::DivU,
            (Binary::Rem, true) => Op::RemS,
            (Binary::Rem, false) => Op::RemU,
            (Binary::BitAnd, _) => Op::And,
            (Binary::BitOr, _) => Op::Or,
            (Binary::BitXor, _) => Op::Xor,
            (Binary::Shl, _) => Op::Shl,
            (Binary::Shr, true) => Op::Sar,
            (Binary::Shr, false) => Op::Shr,
            (other, _) => unreachable!("{other:?} is no integer arithmetic"),
        };
        Ok(Value::word(of, a.append(b).then(op).extend(bytes, signed)))
    }

    /// The integer type that a single operand is computed in: C widens to `int`, Rust does not.
    pub(crate) fn promoted(&self, of: &Type) -> Type {
        let (bytes, signed) = match of.shape {
            Shape::Bool { bytes } if !self.is_rust() => (bytes, false),
            Shape::Int { bytes, signed }
            | Shape::Char { bytes, signed }
            | Shape::Enum { bytes, signed, .. } => (bytes, signed),
            _ => return of.clone(),
        };
        match (self.is_rust(), bytes) {
            (true, _) if matches!(of.shape, Shape::Int { .. }) => of.clone(),
            (true, _) => {
                let sign = if signed { 'i' } else { 'u' };
                Type::int(&format!("{sign}{}", u32::from(bytes) * 8), bytes, signed)
            }
            (false, ..4) => Type::int("int", 4, true),
            (false, _) if matches!(of.shape, Shape::Int { .. }) => of.clone(),
            (false, 4) => Type::int(if signed { "int" } else { "unsigned int" }, 4, signed),
            (false, _) => Type::int(if signed { "long" } else { "unsigned long" }, 8, signed),
        }
    }

    /// The type in which two operands meet: C17 6.3.1.8; in Rust, where they are the same, that.
    fn common(&self, column: usize, binary: Binary, left: &Value, right: &Value) -> Result<Type> {
        let common = self.meeting(left, right);
        if !self.is_rust() || matches!(binary, Binary::Shl | Binary::Shr) {
            return Ok(common);
        }
        // Rust has no conversions that nobody wrote.
        let (a, b) = (self.promoted(&left.of), self.promoted(&right.of));
        let numbers = is_number(&a.shape) && is_number(&b.shape);
        if numbers && !left.untyped && !right.untyped && a.shape != b.shape {
            return Err(Stop::types(
                column,
                "operands of one type, which `as` makes them",
                format!("`{}` and `{}`", left.of.name, right.of.name),
            ));
        }
        for value in [left, right] {
            if let Some(literal) = misfit(value, &common.shape) {
                return Err(Stop::types(
                    column,
                    format!("a number that a `{}` holds", common.name),
                    literal,
                ));
            }
        }
        Ok(common)
    }

    fn meeting(&self, left: &Value, right: &Value) -> Type {
        let is_pointer = |value: &Value| matches!(value.of.shape, Shape::Pointer { .. });
        if is_pointer(left) || is_pointer(right) {
            return Type::int("unsigned long", 8, false);
        }
        let float = |value: &Value| match value.of.shape {
            // What a literal of Rust is, the other operand says.
            Shape::Float { bytes } if value.untyped && self.is_rust() => Some((0, bytes)),
            Shape::Float { bytes } => Some((bytes, bytes)),
            _ => None,
        };
        if let Some((said, bytes)) = float(left).max(float(right)) {
            let other = float(left).min(float(right)).map_or(0, |(_, bytes)| bytes);
            return self.float(if said == 0 { bytes.max(other) } else { said });
        }
        // C computes with truth as with any small integer.
        if self.is_rust()
            && let (Shape::Bool { .. }, Shape::Bool { .. }) = (&left.of.shape, &right.of.shape)
        {
            return left.of.clone();
        }
        if self.is_rust() {
            match (left.untyped, right.untyped) {
                (true, false) => return self.promoted(&right.of),
                (false, true) => return self.promoted(&left.of),
                _ => {}
            }
        }
        let (a, b) = (self.promoted(&left.of), self.promoted(&right.of));
        let (
            Shape::Int { bytes, signed },
            Shape::Int {
                bytes: other,
                signed: other_signed,
            },
        ) = (&a.shape, &b.shape)
        else {
            return a;
        };
        match bytes.cmp(other) {
            std::cmp::Ordering::Greater => a,
            std::cmp::Ordering::Less => b,
            // Of equal width the unsigned one wins.
            std::cmp::Ordering::Equal if *signed && !other_signed => b,
            std::cmp::Ordering::Equal => a,
        }
    }

    /// Code for a scalar in the common type.
    fn converted(&mut self, value: &Value, common: &Type) -> Result<Code> {
        let word = self.scope.word(value)?;
        Ok(match (&value.of.shape, &common.shape) {
            (Shape::Float { .. }, Shape::Float { .. }) => word.rounded(&common.shape),
            (from, Shape::Float { bytes: 4 }) => word.then(Op::IntToF32 {
                signed: is_signed(from),
            }),
            (from, Shape::Float { .. }) => word.then(Op::IntToF64 {
                signed: is_signed(from),
            }),
            (
                Shape::Int { bytes, signed } | Shape::Char { bytes, signed },
                Shape::Int {
                    bytes: to,
                    signed: to_signed,
                },
            ) if bytes == to && signed == to_signed => word,
            (_, Shape::Int { bytes, signed }) => word.extend(*bytes, *signed),
            _ => word,
        })
    }
}

impl Code {
    /// A double as what a floating-point type has of it.
    pub(crate) fn rounded(self, of: &Shape) -> Code {
        match of {
            Shape::Float { bytes: 4 } => self.then(Op::RoundToF32),
            _ => self,
        }
    }
}

fn is_number(shape: &Shape) -> bool {
    matches!(shape, Shape::Int { .. } | Shape::Float { .. })
}

/// The literal that a type does not hold.
fn misfit(value: &Value, of: &Shape) -> Option<String> {
    let (Shape::Int { bytes, signed }, Shape::Int { signed: own, .. }) = (of, &value.of.shape)
    else {
        return None;
    };
    let At::Word(code) = &value.at else {
        return None;
    };
    let word = code.as_constant().filter(|_| value.untyped)?;
    let number = match own {
        true => i128::from(word.cast_signed()),
        false => i128::from(word),
    };
    let bits = u32::from(*bytes) * 8;
    let range = match signed {
        true => -(1i128 << (bits - 1))..1i128 << (bits - 1),
        false => 0..1i128 << bits,
    };
    (!range.contains(&number)).then(|| number.to_string())
}

fn compare(binary: Binary, a: Code, b: Code, float: bool, signed: bool) -> Code {
    let (a, b, binary) = match binary {
        Binary::Gt => (b, a, Binary::Lt),
        Binary::Ge => (b, a, Binary::Le),
        binary => (a, b, binary),
    };
    let op = match (binary, float, signed) {
        (Binary::Eq, true, _) => Op::FEq,
        (Binary::Ne, true, _) => Op::FNe,
        (Binary::Lt, true, _) => Op::FLt,
        (_, true, _) => Op::FLe,
        (Binary::Eq, false, _) => Op::Eq,
        (Binary::Ne, false, _) => Op::Ne,
        (Binary::Lt, false, true) => Op::LtS,
        (Binary::Lt, false, false) => Op::LtU,
        (_, false, true) => Op::LeS,
        (_, false, false) => Op::LeU,
    };
    a.append(b).then(op)
}

fn not_whole(column: usize, binary: Binary, of: &Type) -> Stop {
    Stop::types(
        column,
        format!("whole numbers for `{}`", binary.sign()),
        format!("`{}`", of.name),
    )
}
