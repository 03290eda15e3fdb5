use super::super::contents::Part;
use super::super::cpp::{Owned, held, owner, pointer, signed};
use super::super::{Contents, Look, Typed};
use super::member;
use crate::value::evaluate::Result;
use crate::value::fields::FieldAt;

/// `unique_ptr`: a pointer, and what deletes as the second half of a pair or a member.
pub(super) fn unique<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(owned) = member(look, object, "__ptr_", "__ptr_")? else {
        return Ok(None);
    };
    let deleter = match look.member(object, "__deleter_")? {
        Some(deleter) => Some(deleter),
        None => second(look, object)?,
    };
    held(look, &owned, deleter)
}

/// The second half of the compressed pair, which has both as bases.
fn second(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Typed>> {
    let Some(pair) = look.member(object, "__ptr_")? else {
        return Ok(None);
    };
    let Some(die) = look.structure(pair.of)? else {
        return Ok(None);
    };
    let fields = look.fields_of(die)?;
    let Some(field) = fields.iter().filter(|field| field.is_base).nth(1) else {
        return Ok(None);
    };
    let FieldAt::Bytes(offset) = field.at else {
        return Ok(None);
    };
    let half = Typed {
        of: field.of,
        object: pair.object.at(offset),
    };
    look.member(&half, "__value_")
}

/// `shared_ptr` and `weak_ptr`.
pub(super) fn shared<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(to), Some(counted)) = (
        look.member(object, "__ptr_")?,
        look.member(object, "__cntrl_")?,
    ) else {
        return Ok(None);
    };
    let counts = look
        .pointee(&counted)?
        .map(|counted| counts(look, &counted));
    owner(look, &to, counts)
}

/// The counts of owners and of those that only know of the object, as they are kept. Their
/// structure has functions in the library, so that clang leaves its definition to that; it is part
/// of the ABI: a pointer to virtual functions, and both counts.
fn counts(look: &Look<'_, '_>, counted: &Typed) -> Result<Owned> {
    let count = |name: &str, offset: u64| -> Result<i128> {
        if let Some(member) = look.member(counted, name)?
            && let Some(count) = signed(look, &member)?
        {
            return Ok(count);
        }
        let word = counted.object.at(offset).array(look.target)?;
        Ok(i64::from_le_bytes(word).into())
    };
    let (strong, weak) = (
        count("__shared_owners_", 8)?,
        count("__shared_weak_owners_", 16)?,
    );
    // Both are counted from -1 on, and all owners together hold one weak reference.
    let strong = strong + 1;
    let weak = weak + i128::from(strong <= 0);
    Ok(Owned { strong, weak })
}

pub(super) fn reference<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "__f_")? {
        Some(to) => pointer(look, &to, Vec::<Part<'a>>::new()),
        None => Ok(None),
    }
}
