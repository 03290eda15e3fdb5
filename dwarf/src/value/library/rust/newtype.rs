use super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::fields::FieldAt;
use crate::value::shape::Shape;
use crate::value::tree::Kind;

/// How deep structures of one member are nested in each other.
const MAX_NESTING: usize = 16;

/// What is nothing but what it wraps.
pub(super) fn contents<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    path: &str,
) -> Result<Option<Contents<'a>>> {
    let is_atomic = path.starts_with("core::sync::atomic::Atomic");
    let is_number = path.starts_with("core::num::");
    let Some(inner) = (match is_atomic || is_number {
        true => wrapped(look, object)?,
        false => only(look, object)?,
    }) else {
        return Ok(None);
    };
    if !is_atomic {
        return Ok(Some(Contents::Itself(inner)));
    }
    // An `AtomicBool` is a `u8` inside.
    let of_bool = match look.parameter(object.of, "T")? {
        Some(of) => matches!(
            look.shape(Some(of))?,
            Shape::Base {
                encoding: gimli::DW_ATE_boolean,
                ..
            }
        ),
        None => path.ends_with("::AtomicBool"),
    };
    if !of_bool {
        return Ok(Some(Contents::Itself(inner)));
    }
    let text = match look.word(&inner)? {
        0 => "false".to_owned(),
        1 => "true".to_owned(),
        odd => odd.to_string(),
    };
    let kind = Kind::Bool;
    Ok(Some(Contents::Scalar { kind, text }))
}

/// A guard with a pointer to what it guards, beside the one to the lock.
pub(super) fn guard<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    for name in ["value", "data"] {
        if let Some(pointer) = look.member(object, name)? {
            return Ok(Some(Contents::Itself(pointer)));
        }
    }
    Ok(None)
}

/// The types of `core::num::niche_types`: numbers that some values are missing from.
pub(super) fn niche<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    path: &str,
) -> Result<Option<Contents<'a>>> {
    if !path.contains("::niche_types::") {
        return Ok(None);
    }
    Ok(only(look, object)?.map(Contents::Itself))
}

/// The one member of a structure that has a size, or that it has at all.
pub(super) fn only(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Typed>> {
    let Some(die) = look.structure(object.of)? else {
        return Ok(None);
    };
    let fields = look.fields_of(die)?;
    let mut found = None;
    for field in fields.iter() {
        let FieldAt::Bytes(offset) = field.at else {
            return Ok(None);
        };
        if fields.len() > 1 && is_marker(look, field.of, field.name.as_deref())? {
            continue;
        }
        if found.is_some() {
            return Ok(None);
        }
        found = Some(Typed {
            of: field.of,
            object: object.object.at(offset),
        });
    }
    Ok(found)
}

fn is_marker(
    look: &Look<'_, '_>,
    of: Option<crate::info::DieRef>,
    name: Option<&str>,
) -> Result<bool> {
    if look.size(of)? != Some(0) {
        return Ok(false);
    }
    // What is wrapped may be without a size too.
    let is_value = matches!(name, Some("value" | "pointer" | "v" | "p" | "data"));
    Ok(!is_value)
}

/// What is inside structures of one member, down to a number or a pointer.
pub(super) fn wrapped(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Typed>> {
    let mut at = object.clone();
    for _ in 0..MAX_NESTING {
        match look.shape(at.of)? {
            Shape::Struct { .. } => match only(look, &at)? {
                Some(inner) => at = inner,
                // A fat pointer.
                None => return Ok(Some(at)),
            },
            Shape::Base { .. } | Shape::Pointer(_) | Shape::Enum { .. } => return Ok(Some(at)),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The number that is inside structures of one member.
pub(super) fn number(look: &Look<'_, '_>, object: &Typed) -> Result<Option<u64>> {
    match wrapped(look, object)? {
        Some(inner) => match look.shape(inner.of)? {
            Shape::Base { .. } | Shape::Enum { .. } => look.word(&inner).map(Some),
            _ => Ok(None),
        },
        None => Ok(None),
    }
}

/// The number of a member.
pub(super) fn member(look: &Look<'_, '_>, object: &Typed, name: &str) -> Result<Option<u64>> {
    match look.member(object, name)? {
        Some(member) => number(look, &member),
        None => Ok(None),
    }
}

/// The address in a pointer that is inside structures of one member, and the pointer.
pub(super) fn pointer(look: &Look<'_, '_>, object: &Typed) -> Result<Option<(u64, Typed)>> {
    match wrapped(look, object)? {
        Some(inner) => match look.shape(inner.of)? {
            Shape::Pointer(_) => Ok(Some((
                u64::from_le_bytes(inner.object.array(look.target)?),
                inner,
            ))),
            _ => Ok(None),
        },
        None => Ok(None),
    }
}
