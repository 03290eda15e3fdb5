use super::vec::{self, Span};
use super::{Contents, Look, Typed, newtype};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::Kind;

/// How deep a `PathBuf` hides its bytes.
const MAX_NESTING: usize = 8;

/// `String`, `OsString`, `PathBuf`: a vector of bytes inside structures of one member.
pub(super) fn owned<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let mut at = object.clone();
    for _ in 0..MAX_NESTING {
        if look.name(at.of)?.starts_with("Vec<") {
            let span = vec::span(look, &at)?;
            return Ok(span.map(|span| text(span, 0)));
        }
        match newtype::only(look, &at)? {
            Some(inner) => at = inner,
            // An `OsString` once had a flag beside its bytes.
            None => match look.member(&at, "inner")? {
                Some(inner) => at = inner,
                None => return Ok(None),
            },
        }
    }
    Ok(None)
}

/// `CString`: a boxed slice with its NUL.
pub(super) fn c_string<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(inner) = look.member(object, "inner")? else {
        return Ok(None);
    };
    let (Some(data), Some(len)) = (
        look.member(&inner, "data_ptr")?,
        look.member(&inner, "length")?,
    ) else {
        return Ok(None);
    };
    let span = Span {
        address: look.word(&data)?,
        len: look.word(&len)?,
        wrong: None,
    };
    Ok(Some(text(span.checked(), 1)))
}

/// The text of bytes, of which the last ones are no part of it.
pub(super) fn text<'a>(span: Span, less: u64) -> Contents<'a> {
    let kind = Kind::String;
    match span.wrong {
        Some(why) => Contents::Broken { kind, why },
        None => Contents::Text {
            at: Object::Memory(span.address),
            bytes: span.len.saturating_sub(less),
        },
    }
}
