use super::{Contents, Look, Typed, cell, newtype};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::Kind;

/// `std::io::Error`: one word, of which two bits say what the rest is
/// (`std::io::error::repr_bitpacked`).
pub(super) fn contents<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    path: &str,
) -> Result<Option<Contents<'a>>> {
    if path != "std::io::error::Error" {
        return Ok(None);
    }
    let Some(repr) = look.member(object, "repr")? else {
        return Ok(None);
    };
    let Some(pointer) = look.member(&repr, "0")? else {
        return Ok(None);
    };
    let Some((word, _)) = newtype::pointer(look, &pointer)? else {
        return Ok(None);
    };
    let (tag, rest) = (word & 3, word >> 32);
    let (name, part) = match tag {
        2 => ("Os", cell::word("code", Kind::Int, rest.to_string())),
        3 => (
            "Simple",
            cell::word("kind", Kind::Enum, kind_name(look, rest)?),
        ),
        tag => return boxed(look, tag, Object::Memory(word & !3)),
    };
    let name = name.to_owned();
    let parts = vec![part];
    Ok(Some(Contents::State { name, parts }))
}

/// An error with more to it: `&'static SimpleMessage`, or a `Custom` with an error of its own.
fn boxed<'a>(look: &Look<'_, 'a>, tag: u64, object: Object) -> Result<Option<Contents<'a>>> {
    let name = match tag {
        0 => "SimpleMessage",
        _ => "Custom",
    };
    let of = look.info.type_named(&format!("std::io::error::{name}"));
    let name = name.to_owned();
    let parts = match of {
        Some(of) => vec![cell::part(
            "0",
            Typed {
                of: Some(of),
                object,
            },
        )],
        None => Vec::new(),
    };
    Ok(Some(Contents::State { name, parts }))
}

fn kind_name(look: &Look<'_, '_>, number: u64) -> Result<String> {
    // It has moved.
    for path in ["std::io::error::ErrorKind", "core::io::error::ErrorKind"] {
        let Some(of) = look.info.type_named(path) else {
            continue;
        };
        for (known, name) in look.info.enumerators(of)? {
            if known == number {
                return Ok(name);
            }
        }
    }
    Ok(number.to_string())
}
