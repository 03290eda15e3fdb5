use lr_probe::Op;

use super::code::Code;
use super::eval::{Evaluator, is_signed};
use super::field::Kept;
use super::stop::{Result, Stop};
use crate::expr::{Expr, Format, Kind, Special};
use crate::layout::Decode;
use crate::types::Shape;

impl Evaluator<'_, '_> {
    /// Keeps the value of an expression as the bits of a double.
    pub(crate) fn number(&mut self, expr: &Expr) -> Result<Kept> {
        let value = self.value(expr)?;
        let value = self.scope.read(value)?;
        let signed = match value.of.shape {
            Shape::Float { .. } => None,
            Shape::Int { .. } | Shape::Bool { .. } | Shape::Char { .. } | Shape::Enum { .. } => {
                Some(is_signed(&value.of.shape))
            }
            _ => {
                let found = format!("`{}`", value.of.name);
                return Err(Stop::types(expr.column, "a number to measure", found));
            }
        };
        let word = self.scope.word(&value)?;
        let word = match signed {
            None => word,
            Some(signed) => word.then(Op::IntToF64 { signed }),
        };
        Ok(Kept {
            code: Some(word.then(Op::KeepWord)),
            type_name: value.of.name,
            decode: Decode::Float { single: false },
        })
    }

    /// Keeps the value of an expression as the name of a group.
    pub(crate) fn group(&mut self, expr: &Expr) -> Result<Kept> {
        if let Kind::Special(Special::Thread) = expr.kind {
            return Ok(Kept {
                code: Some(Code::one(Op::KeepThread)),
                type_name: "string".to_owned(),
                decode: Decode::Bytes,
            });
        }
        let mut kept = self.field(expr, Format::Plain)?;
        // What is the same at every hit is a group nevertheless, and a group has bytes.
        kept.code
            .get_or_insert_with(|| Code::constant(0).then(Op::KeepWord));
        Ok(kept)
    }
}
