use super::super::{Contents, Look, Typed};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::shape::Shape;
use crate::value::tree::{Absent, Kind, Reason};

/// A template's name without what it was made for: compilers may leave that out themselves
/// (`-gsimple-template-names`).
pub(in crate::value) fn family(name: &str) -> &str {
    name.split('<').next().unwrap_or_default()
}

/// Whether a type is declared in `std`. Asked where members have names that anyone may use.
pub(in crate::value) fn is_std(look: &Look<'_, '_>, of: Option<DieRef>) -> Result<bool> {
    Ok(look.declared_as(of)?.starts_with("std::"))
}

/// The first member that there is, of names that it has in different versions.
pub(in crate::value) fn any_member(
    look: &Look<'_, '_>,
    object: &Typed,
    names: &[&str],
) -> Result<Option<Typed>> {
    for name in names {
        if let Some(found) = look.member(object, name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first path of members that there is.
pub(in crate::value) fn any_path(
    look: &Look<'_, '_>,
    object: &Typed,
    paths: &[&[&str]],
) -> Result<Option<Typed>> {
    for path in paths {
        if let Some(found) = look.path(object, path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The number in an integer, with its sign; `None` of what is no integer.
pub(in crate::value) fn signed(look: &Look<'_, '_>, object: &Typed) -> Result<Option<i128>> {
    let Shape::Base {
        encoding, bytes, ..
    } = look.shape(object.of)?
    else {
        return Ok(None);
    };
    if !(1..=16).contains(&bytes) {
        return Ok(None);
    }
    let word = object.object.bits(look.target, 0, bytes * 8)?;
    let unused = 128 - bytes * 8;
    Ok(match encoding {
        gimli::DW_ATE_signed | gimli::DW_ATE_signed_char => {
            Some((word << unused).cast_signed() >> unused)
        }
        gimli::DW_ATE_unsigned | gimli::DW_ATE_unsigned_char => i128::try_from(word).ok(),
        _ => None,
    })
}

/// An object that cannot be what its type says.
pub(in crate::value) fn broken<'a>(
    kind: Kind,
    reason: Reason,
    detail: impl Into<String>,
) -> Contents<'a> {
    Contents::Broken {
        kind,
        why: Absent::new(reason, detail),
    }
}
