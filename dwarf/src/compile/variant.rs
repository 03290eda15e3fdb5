use lr_probe::{Op, Reason};

use super::code::Code;
use super::eval::Evaluator;
use super::scope::Scope;
use super::stop::{Result, Stop};
use super::storage::{Piece, PieceAt, Storage};
use super::value::{At, Value, slice};
use crate::error::CompileErrorKind;
use crate::expr::{Expr, Test};
use crate::types::{Shape, Type, Variant, Variants};

impl Scope<'_> {
    /// The variants of a value's type, if it has some.
    pub(crate) fn variants_of(&self, value: &Value) -> Result<Option<Variants>> {
        let Shape::Struct { die, .. } = value.of.shape else {
            return Ok(None);
        };
        match self.info.variants(die)? {
            None => Ok(None),
            Some(Ok(variants)) => Ok(Some(variants)),
            Some(Err(why)) => Err(Stop::unsupported(why)),
        }
    }

    /// One or zero: whether a value is of a variant.
    pub(crate) fn is_variant(
        &self,
        value: &Value,
        variants: &Variants,
        wanted: &Variant,
    ) -> Result<Code> {
        let Some(discriminant) = variants.discriminant else {
            return Ok(Code::constant(1));
        };
        let word = self.number_at(value, discriminant.offset, discriminant.bytes)?;
        let low = |value: u64| Code::constant(value).extend(discriminant.bytes, false);
        if let Some(value) = wanted.value {
            return Ok(word.append(low(value)).then(Op::Eq));
        }
        // The one without a value is meant by every value that no other one has.
        let mut code = Code::constant(1);
        for other in variants.cases.iter().filter_map(|case| case.value) {
            let differs = word.clone().append(low(other)).then(Op::Ne);
            code = code.append(differs).then(Op::And);
        }
        Ok(code)
    }

    /// The fields of a variant, which fail where another one is active; `None` where the type has
    /// no such variant.
    pub(crate) fn payload(&self, value: &Value, name: &str) -> Result<Option<Value>> {
        let Some(variants) = self.variants_of(value)? else {
            return Ok(None);
        };
        let Some(variant) = variants.cases.iter().find(|case| case.name == name) else {
            return Ok(None);
        };
        let check = self.is_variant(value, &variants, variant)?;
        let At::Stored(storage) = &value.at else {
            return Err(Stop::unsupported(value.of.name.clone()));
        };
        let guarded = guarded(check, Reason::OtherVariant);
        let size = self.info.size(&variant.of)?.unwrap_or(0);
        let storage = part_of(storage, variant.offset, size)?.behind(&guarded);
        Ok(Some(Value::stored(variant.of.clone(), storage)))
    }
}

/// Code that fails where what it checks is zero, and pushes nothing.
pub(crate) fn guarded(check: Code, reason: Reason) -> Code {
    check.then(Op::JumpIfNotZero(1)).then(Op::Fail(reason))
}

fn part_of(storage: &Storage, offset: u64, size: u64) -> Result<Storage> {
    Ok(match storage {
        Storage::Memory(address) => Storage::Memory(address.clone().plus(offset)),
        Storage::Pieces(pieces) => Storage::Pieces(slice(pieces, offset, size)?),
    })
}

impl Storage {
    /// The same, reached only where code before it does not fail.
    pub(crate) fn behind(self, guard: &Code) -> Storage {
        match self {
            Storage::Memory(address) => Storage::Memory(guard.clone().append(address)),
            Storage::Pieces(pieces) => Storage::Pieces(
                pieces
                    .into_iter()
                    .map(|piece| Piece {
                        bytes: piece.bytes,
                        at: match piece.at {
                            PieceAt::Memory(code) => PieceAt::Memory(guard.clone().append(code)),
                            PieceAt::Word(code) => PieceAt::Word(guard.clone().append(code)),
                            PieceAt::Gone => PieceAt::Gone,
                        },
                    })
                    .collect(),
            ),
        }
    }
}

impl Evaluator<'_, '_> {
    /// Whether the names before a variant or enumerator are those of its type or around it.
    pub(crate) fn is_path_of(&self, of: &Type, path: &[String]) -> bool {
        let scopes = &path[..path.len().saturating_sub(1)];
        let die = match of.shape {
            Shape::Struct { die, .. } | Shape::Enum { die, .. } => die,
            _ => return false,
        };
        if scopes.is_empty() {
            return true;
        }
        let name = self.scope.info.qualified_name(die).unwrap_or_default();
        let full = crate::info::components(&name);
        // An alias that the program uses, too.
        let is_it = |full: &[&str]| {
            full.len().checked_sub(scopes.len()).is_some_and(|skip| {
                let mut pairs = full[skip..].iter().zip(scopes);
                pairs.all(|(full, wanted)| crate::info::without_generics(full) == wanted)
            })
        };
        // An enumerator without a scope of its own is known where its type is.
        is_it(&full) || is_it(&full[..full.len().saturating_sub(1)])
    }

    /// `is_some(x)`: of what may be there or not; `is_ok(x)`, of what may have failed.
    pub(crate) fn is(&mut self, column: usize, inner: &Expr, test: Test) -> Result<Value> {
        let value = self.value(inner)?;
        let value = self.scope.read(value)?;
        let code = match test {
            Test::Some | Test::None => self.is_there(column, &value)?,
            Test::Ok | Test::Err => self.is_ok(column, &value)?,
        };
        let code = match test {
            Test::Some | Test::Ok => code,
            Test::None | Test::Err => code.then(Op::IsZero),
        };
        Ok(Value::word(Type::bool(), code))
    }

    fn is_ok(&mut self, column: usize, value: &Value) -> Result<Code> {
        if let Some(variants) = self.scope.variants_of(value)?
            && let Some(ok) = variants.cases.iter().find(|case| case.name == "Ok")
        {
            return self.scope.is_variant(value, &variants, ok);
        }
        if let Some(flag) = self.scope.has_value(value)? {
            return Ok(flag.truth());
        }
        let found = format!("`{}`", value.of.name);
        Err(Stop::types(column, "a result", found))
    }

    fn is_there(&mut self, column: usize, value: &Value) -> Result<Code> {
        if let Some(variants) = self.scope.variants_of(value)?
            && let Some(some) = variants.cases.iter().find(|case| case.name == "Some")
        {
            return self.scope.is_variant(value, &variants, some);
        }
        if let Some(engaged) = self.scope.engaged(value)? {
            return Ok(engaged.truth());
        }
        if let Some(pointer) = self.scope.owned_pointer(value)? {
            return Ok(self.scope.word(&pointer)?.truth());
        }
        if let Shape::Pointer { .. } = value.of.shape {
            return Ok(self.scope.word(value)?.truth());
        }
        let found = format!("`{}`", value.of.name);
        Err(Stop::types(column, "an option or a pointer", found))
    }
}

pub(crate) fn unknown_variant(
    column: usize,
    of: &Type,
    variants: &Variants,
    path: &[String],
) -> Stop {
    Stop::Refused {
        column,
        kind: CompileErrorKind::UnknownVariant {
            type_name: of.name.clone(),
            name: path.join("::"),
            variants: variants
                .cases
                .iter()
                .take(40)
                .map(|case| case.name.clone())
                .collect(),
        },
    }
}
