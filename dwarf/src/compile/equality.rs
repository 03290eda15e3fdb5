use lr_probe::Op;

use super::code::Code;
use super::eval::Evaluator;
use super::stop::{Result, Stop};
use super::value::Value;
use super::variant::unknown_variant;
use crate::expr::{Binary, Expr, Kind, Special};

/// An operand before it is known what it meets.
#[derive(Clone)]
pub(crate) struct Operand<'e> {
    /// How it is written; `None` of a part of what is compared.
    pub(crate) expr: Option<&'e Expr>,
    pub(crate) is: Is,
}

#[derive(Clone)]
pub(crate) enum Is {
    Value(Value),
    Text(Vec<u8>),
    /// The name of the thread.
    Thread,
    /// `Some(x)`: only beside what may be one.
    Pattern,
    /// What has no value by itself, such as the name of an enumerator or of a variant.
    Unknown(Stop),
}

impl<'e> Operand<'e> {
    fn part(value: Value) -> Operand<'e> {
        Operand {
            expr: None,
            is: Is::Value(value),
        }
    }

    /// The path of a name or of a pattern.
    fn path(&self) -> Option<&'e [String]> {
        match self.expr.map(|expr| &expr.kind) {
            Some(Kind::Name(path) | Kind::Variant(path, _)) => Some(path),
            _ => None,
        }
    }

    fn last_name(&self) -> Option<&'e str> {
        self.path()?.last().map(String::as_str)
    }

    /// What is in the parentheses of `Some(x)`.
    fn parts(&self) -> Option<&'e [Expr]> {
        match self.expr.map(|expr| &expr.kind) {
            Some(Kind::Variant(_, parts)) => Some(parts),
            _ => None,
        }
    }
}

impl Evaluator<'_, '_> {
    /// Each operand is looked at once, however deep it is in others: what is looked at twice at
    /// each depth is looked at for ever.
    pub(crate) fn operand<'e>(&mut self, expr: &'e Expr) -> Result<Operand<'e>> {
        let is = match &expr.kind {
            Kind::Text(text) => Is::Text(text.clone()),
            Kind::Special(Special::Function) => {
                Is::Text(self.scope.place.function.clone().into_bytes())
            }
            Kind::Special(Special::Thread) if !self.is_watch => Is::Thread,
            Kind::Variant(..) => Is::Pattern,
            _ => match self.value(expr) {
                Ok(value) => Is::Value(self.scope.read(value)?),
                Err(stop) => Is::Unknown(stop),
            },
        };
        let expr = Some(expr);
        Ok(Operand { expr, is })
    }

    /// `value == Variant`, `value == Some(x)`, and an optional with what it may hold: one or zero;
    /// `None` where neither operand is of that kind.
    pub(crate) fn pattern_equality(
        &mut self,
        column: usize,
        left: &Operand<'_>,
        right: &Operand<'_>,
    ) -> Result<Option<Code>> {
        for (of, by) in [(left, right), (right, left)] {
            if let Is::Value(value) = &of.is
                && let Some(code) = self.matches(column, value, by)?
            {
                return Ok(Some(code));
            }
        }
        for side in [left, right] {
            if let (Is::Pattern, Some(expr), Some(path)) = (&side.is, side.expr, side.path()) {
                return Err(not_called(expr.column, path));
            }
        }
        Ok(None)
    }

    /// Whether a value is what the other operand says.
    fn matches(&mut self, column: usize, value: &Value, by: &Operand<'_>) -> Result<Option<Code>> {
        if let Some(engaged) = self.scope.engaged(value)? {
            return self.matches_optional(column, value, engaged.truth(), by);
        }
        let (Some(expr), Some(path)) = (by.expr, by.path()) else {
            return Ok(None);
        };
        let Some(variants) = self.scope.variants_of(value)? else {
            return Ok(None);
        };
        let named = variants
            .cases
            .iter()
            .find(|case| Some(&case.name) == path.last());
        let Some(variant) = named.filter(|_| self.is_path_of(&value.of, path)) else {
            return Err(unknown_variant(expr.column, &value.of, &variants, path));
        };
        let mut code = self.scope.is_variant(value, &variants, variant)?;
        let Some(parts) = by.parts() else {
            return Ok(Some(code));
        };
        let Some(payload) = self.scope.payload(value, &variant.name)? else {
            return Ok(Some(code));
        };
        for (index, part) in parts.iter().enumerate() {
            let field = index.to_string();
            let held = self.scope.member(part.column, payload.clone(), &field)?;
            code = code.and(self.equals(column, held, part)?);
        }
        Ok(Some(code))
    }

    /// The same of a `std::optional`, which equals what it holds as well.
    fn matches_optional(
        &mut self,
        column: usize,
        value: &Value,
        engaged: Code,
        by: &Operand<'_>,
    ) -> Result<Option<Code>> {
        let is_null = matches!(by.expr.map(|expr| &expr.kind), Some(Kind::Null));
        let names_nothing = by.parts().is_none()
            && match by.last_name() {
                Some("nullopt") => true,
                Some("None") => matches!(by.is, Is::Unknown(_)),
                _ => false,
            };
        if is_null || names_nothing {
            return Ok(Some(engaged.then(Op::IsZero)));
        }
        if let Is::Value(other) = &by.is
            && self.scope.engaged(other)?.is_some()
        {
            return Ok(None);
        }
        let Some(held) = self.scope.through(value)? else {
            return Ok(None);
        };
        let equal = match (by.last_name(), by.parts()) {
            (Some("Some"), Some([part])) => self.equals(column, held, part)?,
            (_, Some(_)) => return Ok(None),
            _ => {
                let held = Operand::part(self.scope.read(held)?);
                let equal = self.compared(column, Binary::Eq, held, by.clone())?;
                self.scope.word(&equal)?
            }
        };
        Ok(Some(engaged.and(equal)))
    }

    /// One or zero: whether a value equals what an expression says.
    fn equals(&mut self, column: usize, value: Value, expr: &Expr) -> Result<Code> {
        let value = Operand::part(self.scope.read(value)?);
        let other = self.operand(expr)?;
        let equal = self.compared(column, Binary::Eq, value, other)?;
        self.scope.word(&equal)
    }
}

pub(crate) fn not_called(column: usize, path: &[String]) -> Stop {
    let expected = "a variant beside a value that may be it: no calls into the target";
    Stop::types(column, expected, format!("`{}(…)`", path.join("::")))
}

impl Code {
    /// One where both are, and the right one does not run where the left one is zero.
    pub(crate) fn and(self, right: Code) -> Code {
        match self.as_constant() {
            Some(0) => return self,
            Some(_) => return right,
            None => {}
        }
        let skip = u16::try_from(right.len() + 1).unwrap_or(u16::MAX);
        self.then(Op::JumpIfZero(skip))
            .append(right)
            .then(Op::Jump(1))
            .then(Op::Const(0))
    }
}
