use lr_probe::Op;

use super::code::Code;
use super::elements::Text;
use super::eval::Evaluator;
use super::stop::{Result, Stop};
use super::storage::Storage;
use super::value::{At, Value};
use crate::expr::{Expr, Format, Kind, Special};
use crate::layout::Decode;
use crate::types::{Shape, Target};

/// The most bytes of a string that a field keeps.
pub(crate) const MAX_TEXT: u16 = 1024;

/// What keeps a field, and how to read it back.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `None` where the record has nothing of it.
    pub(crate) code: Option<Code>,
    pub(crate) type_name: String,
    pub(crate) decode: Decode,
}

impl Evaluator<'_, '_> {
    pub(crate) fn field(&mut self, expr: &Expr, format: Format) -> Result<Kept> {
        match &expr.kind {
            Kind::Special(Special::Thread) => return Ok(known("string", Decode::Thread)),
            Kind::Special(Special::Function) => {
                let function = self.scope.place.function.clone();
                return Ok(known("string", Decode::Constant(function)));
            }
            Kind::Text(text) => {
                let text = String::from_utf8_lossy(text).into_owned();
                return Ok(known("string", Decode::Constant(text)));
            }
            _ => {}
        }
        let value = self.value(expr)?;
        // The type as declared: what a reference refers to is what is shown.
        let type_name = value.of.name.clone();
        let value = self.scope.unwrapped(self.scope.read(value)?)?;
        if format == Format::Raw && !value.of.is_scalar() {
            let column = expr.column;
            return Err(Stop::Whole { column, type_name });
        }
        let (code, decode) = match self.keep(&value, format) {
            Err(Stop::Absent { .. })
                if !value.of.is_scalar()
                    && (format == Format::Quoted
                        || matches!(value.at, At::Elements(_) | At::Spread(_))) =>
            {
                let column = expr.column;
                return Err(Stop::Whole { column, type_name });
            }
            kept => kept?,
        };
        Ok(Kept {
            code: Some(code),
            type_name,
            decode,
        })
    }

    fn keep(&mut self, value: &Value, format: Format) -> Result<(Code, Decode)> {
        let counted =
            matches!(value.at, At::Elements(_)) || self.scope.container_of(value)?.is_some();
        if counted && let Some(elements) = self.scope.elements(value)? {
            let decode = match elements.text {
                Text::No => None,
                Text::Counted => Some(Decode::Bytes),
                Text::Ended => Some(Decode::BytesToNul),
            };
            if let (Some(decode), Some(length)) = (decode, elements.length) {
                let bytes = elements.first.append(length);
                return Ok((bytes.then(Op::KeepBytes { max: MAX_TEXT }), decode));
            }
        }
        if let Shape::Array { element, counts } = &value.of.shape
            && self.is_char(element)?
            && let [Some(count)] = counts[..]
        {
            let At::Stored(Storage::Memory(address)) = &value.at else {
                return Err(Stop::unsupported("an array that is not in memory here"));
            };
            let max = u16::try_from(count).unwrap_or(MAX_TEXT).min(MAX_TEXT);
            let code = address.clone().then(Op::KeepCStr { max });
            return Ok((code, Decode::CStr { room: Some(count) }));
        }
        if let Shape::Pointer { target, .. } = &value.of.shape
            && format != Format::Hex
            && self.is_char(target)?
        {
            let code = self.scope.word(value)?.then(Op::KeepCStr { max: MAX_TEXT });
            return Ok((code, Decode::CStr { room: None }));
        }
        let decode = match &value.of.shape {
            Shape::Int {
                signed: true,
                bytes,
            } => Decode::Int { bytes: *bytes },
            Shape::Int { signed: false, .. } => Decode::Uint,
            Shape::Bool { .. } => Decode::Bool,
            Shape::Char { bytes: 1, .. } => Decode::ByteChar,
            Shape::Char { .. } => Decode::Char,
            Shape::Float { bytes: 4 } => Decode::Float { single: true },
            Shape::Float { .. } => Decode::Float { single: false },
            Shape::Pointer { .. } => Decode::Pointer,
            Shape::Enum { die, signed, .. } => Decode::Enum {
                signed: *signed,
                names: self.scope.info.enumerators(*die)?,
            },
            Shape::Array { .. } | Shape::Struct { .. } | Shape::Other => {
                let name = &value.of.name;
                let detail = format!("a whole `{name}`, which `{{…:?}}` shows");
                return Err(Stop::unsupported(detail));
            }
        };
        Ok((self.scope.word(value)?.then(Op::KeepWord), decode))
    }

    /// Whether a string of C is made of these.
    fn is_char(&self, target: &Target) -> Result<bool> {
        let of = self.scope.info.target(target)?;
        Ok(!self.is_rust() && matches!(of.shape, Shape::Char { bytes: 1, .. }))
    }
}

fn known(type_name: &str, decode: Decode) -> Kept {
    Kept {
        code: None,
        type_name: type_name.to_owned(),
        decode,
    }
}
