use std::cmp::Ordering;

use lr_probe::{Op, TextAt};

use super::code::Code;
use super::elements::Text;
use super::equality::{Is, Operand};
use super::eval::Evaluator;
use super::stop::{Result, Stop};
use super::storage::Storage;
use super::value::{At, Value};
use crate::expr::Binary;
use crate::types::{Shape, Target, Type};

/// The longest name of a thread (`TASK_COMM_LEN` is 16 with its NUL).
const MAX_THREAD_NAME: usize = 15;

/// A value as a text: code that pushes an address and a length, and what ends it.
struct Stored {
    code: Code,
    at: TextAt,
    /// What the language itself takes for a text, and not for bytes or for a place.
    is_text: bool,
    is_pointer: bool,
}

impl Evaluator<'_, '_> {
    /// A comparison of texts, by their bytes; `None` where the operands are not texts.
    pub(crate) fn text_comparison(
        &mut self,
        column: usize,
        binary: Binary,
        left: &Operand<'_>,
        right: &Operand<'_>,
    ) -> Result<Option<Value>> {
        let code = match (&left.is, &right.is) {
            (Is::Text(a), Is::Text(b)) => Code::constant(u64::from(holds(binary, a.cmp(b)))),
            (Is::Thread, Is::Text(name)) | (Is::Text(name), Is::Thread)
                if name.len() > MAX_THREAD_NAME =>
            {
                let expected =
                    format!("a name of at most {MAX_THREAD_NAME} bytes, as threads have");
                return Err(Stop::types(
                    column,
                    expected,
                    format!("one of {}", name.len()),
                ));
            }
            (Is::Value(value), Is::Text(text)) | (Is::Text(text), Is::Value(value))
                if matches!(binary, Binary::Eq | Binary::Ne) =>
            {
                let equal = self.equals_text(column, value, text)?;
                match binary {
                    Binary::Eq => equal,
                    _ => equal.then(Op::IsZero),
                }
            }
            (Is::Text(_) | Is::Thread, Is::Unknown(stop))
            | (Is::Unknown(stop), Is::Text(_) | Is::Thread) => return Err(stop.clone()),
            (Is::Unknown(_) | Is::Pattern, _) | (_, Is::Unknown(_) | Is::Pattern) => {
                return Ok(None);
            }
            (Is::Value(a), Is::Value(b)) => match self.both_stored(column, binary, a, b)? {
                Some((a, b)) => compared(binary, (a.code, a.at), (b.code, b.at)),
                None => return Ok(None),
            },
            (a, b) => {
                let (a, b) = (self.side(column, a)?, self.side(column, b)?);
                compared(binary, a, b)
            }
        };
        Ok(Some(Value::word(Type::bool(), code)))
    }

    /// One side, where the other one is a text for sure.
    fn side(&mut self, column: usize, operand: &Is) -> Result<(Code, TextAt)> {
        match operand {
            Is::Text(text) => Ok(self.literal(text)),
            Is::Thread => Ok((Code::default(), TextAt::Thread)),
            Is::Value(value) => match self.stored_text(value)? {
                Some(stored) => Ok((stored.code, stored.at)),
                None => Err(no_text(column, value)),
            },
            Is::Pattern => Err(Stop::types(column, "a text", "a variant")),
            Is::Unknown(stop) => Err(stop.clone()),
        }
    }

    fn literal(&mut self, text: &[u8]) -> (Code, TextAt) {
        let offset = self.pool.len() as u64;
        self.pool.extend_from_slice(text);
        let length = Code::constant(text.len() as u64);
        (Code::constant(offset).append(length), TextAt::Pool)
    }

    /// Both sides, where both are texts; `None` where they are compared as something else.
    fn both_stored(
        &mut self,
        column: usize,
        binary: Binary,
        left: &Value,
        right: &Value,
    ) -> Result<Option<(Stored, Stored)>> {
        let (Some(left_text), Some(right_text)) =
            (self.stored_text(left)?, self.stored_text(right)?)
        else {
            return Ok(None);
        };
        let bytes = [&left_text, &right_text].map(|side| !side.is_text);
        let counted = [&left_text, &right_text].map(|side| side.at == TextAt::Counted);
        match (bytes, counted) {
            // Bytes without an end are pointers.
            ([true, true], [true, true]) | ([false, _] | [_, false], _) => {}
            ([true, true], _) => return Ok(None),
        }
        let pointers = left_text.is_pointer && right_text.is_pointer;
        if pointers && !matches!(binary, Binary::Eq | Binary::Ne) {
            let expected = format!(
                "`a - b {0} 0` for places, or `a[..64] {0} b[..64]` for texts",
                binary.sign()
            );
            let found = format!("`{}` and `{}`", left.of.name, right.of.name);
            return Err(Stop::types(column, expected, found));
        }
        Ok(Some((left_text, right_text)))
    }

    /// Where the text is that a value is; `None` of everything else.
    fn stored_text(&self, value: &Value) -> Result<Option<Stored>> {
        let counted =
            matches!(value.at, At::Elements(_)) || self.scope.container_of(value)?.is_some();
        if counted {
            let Some(elements) = self.scope.elements(value)? else {
                return Ok(None);
            };
            let of_bytes = self.scope.info.size(&elements.element)? == Some(1);
            let Some(length) = elements.length else {
                return Ok(None);
            };
            return Ok((elements.text != Text::No || of_bytes).then(|| Stored {
                code: elements.first.append(length),
                at: match elements.text {
                    Text::Ended => TextAt::Ended,
                    Text::Counted | Text::No => TextAt::Counted,
                },
                is_text: elements.text != Text::No,
                is_pointer: false,
            }));
        }
        match &value.of.shape {
            Shape::Pointer { target, .. } if self.is_plain_char(target)? => Ok(Some(Stored {
                code: self.scope.word(value)?.then(Op::Const(u64::MAX)),
                at: TextAt::Ended,
                is_text: true,
                is_pointer: true,
            })),
            Shape::Array { element, counts } => {
                let [Some(count)] = counts[..] else {
                    return Ok(None);
                };
                let is_text = self.is_plain_char(element)?;
                if !is_text && !self.is_byte(element)? {
                    return Ok(None);
                }
                let At::Stored(Storage::Memory(address)) = &value.at else {
                    return Err(Stop::unsupported("an array that is not in memory here"));
                };
                Ok(Some(Stored {
                    code: address.clone().then(Op::Const(count)),
                    at: match is_text {
                        true => TextAt::Ended,
                        false => TextAt::Counted,
                    },
                    is_text,
                    is_pointer: false,
                }))
            }
            _ => Ok(None),
        }
    }

    /// Whether it is plain `char` of C: `unsigned char` is for bytes.
    fn is_plain_char(&self, target: &Target) -> Result<bool> {
        let of = self.scope.info.target(target)?;
        let is_char = matches!(
            of.shape,
            Shape::Char {
                bytes: 1,
                signed: true
            }
        );
        Ok(!self.is_rust() && is_char)
    }

    /// The text that a value is, as code for a comparison with `literal`.
    fn equals_text(&mut self, column: usize, value: &Value, literal: &[u8]) -> Result<Code> {
        let Ok(len) = u16::try_from(literal.len()) else {
            return Err(Stop::types(column, "a text below 64 KiB", "a longer one"));
        };
        if let Some(Stored { code, at, .. }) = self.stored_text(value)?
            && let At::Elements(_) = value.at
            && at == TextAt::Ended
        {
            return Ok(compared(Binary::Eq, (code, at), self.literal(literal)));
        }
        let offset = u32::try_from(self.pool.len()).unwrap_or(u32::MAX);
        self.pool.extend_from_slice(literal);
        let counted =
            matches!(value.at, At::Elements(_)) || self.scope.container_of(value)?.is_some();
        if counted && let Some(elements) = self.scope.elements(value)? {
            let of_bytes = self.scope.info.size(&elements.element)? == Some(1);
            if let Some(length) = elements.length
                && (elements.text != Text::No || of_bytes)
            {
                let bytes = elements.first.append(length);
                return Ok(bytes.then(Op::BytesEq { offset, len }));
            }
        }
        let ends_at_nul = || match literal.contains(&0) {
            true => Err(Stop::types(column, "a text without NUL", "a text with one")),
            false => Ok(Op::CStrEq { offset, len }),
        };
        match &value.of.shape {
            Shape::Pointer { target, .. } if self.is_byte(target)? => {
                Ok(self.scope.word(value)?.then(ends_at_nul()?))
            }
            Shape::Array { element, counts } if counts.len() == 1 && self.is_byte(element)? => {
                let At::Stored(Storage::Memory(address)) = &value.at else {
                    return Err(Stop::unsupported("an array that is not in memory here"));
                };
                let address = address.clone();
                match counts[0] {
                    // Nothing behind the array may be looked at.
                    Some(count) if count < u64::from(len) => Ok(Code::constant(0)),
                    Some(count) if count == u64::from(len) => Ok(address
                        .then(Op::Const(count))
                        .then(Op::BytesEq { offset, len })),
                    _ => Ok(address.then(ends_at_nul()?)),
                }
            }
            _ => Err(no_text(column, value)),
        }
    }

    fn is_byte(&self, target: &Target) -> Result<bool> {
        let of = self.scope.info.target(target)?;
        Ok(matches!(
            of.shape,
            Shape::Char { bytes: 1, .. } | Shape::Int { bytes: 1, .. }
        ))
    }
}

fn no_text(column: usize, value: &Value) -> Stop {
    let found = format!("`{}`", value.of.name);
    Stop::types(column, "a string to compare with a text", found)
}

/// One or zero.
fn compared(binary: Binary, left: (Code, TextAt), right: (Code, TextAt)) -> Code {
    let code = left.0.append(right.0);
    let (left, right) = (left.1, right.1);
    let (of_order, zero) = (Op::TextOrder { left, right }, Op::Const(0));
    match binary {
        Binary::Eq => code.then(Op::TextEq { left, right }),
        Binary::Ne => code.then(Op::TextEq { left, right }).then(Op::IsZero),
        Binary::Lt => code.then(of_order).then(zero).then(Op::LtS),
        Binary::Le => code.then(of_order).then(zero).then(Op::LeS),
        Binary::Gt => code.then(of_order).then(zero).then(Op::Swap).then(Op::LtS),
        _ => code.then(of_order).then(zero).then(Op::Swap).then(Op::LeS),
    }
}

fn holds(binary: Binary, order: Ordering) -> bool {
    match binary {
        Binary::Eq => order.is_eq(),
        Binary::Ne => order.is_ne(),
        Binary::Lt => order.is_lt(),
        Binary::Le => order.is_le(),
        Binary::Gt => order.is_gt(),
        _ => order.is_ge(),
    }
}
