use super::super::cpp::{Owned, held, owner, pointer, signed};
use super::super::{Contents, Look, Typed};
use super::tuple::elements;
use crate::value::evaluate::Result;
use crate::value::tree::Absent;

/// `unique_ptr`: a tuple of a pointer and what deletes, where older ones have one layer less.
pub(super) fn unique<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(outer) = look.member(object, "_M_t")? else {
        return Ok(None);
    };
    let inner = look.member(&outer, "_M_t")?.unwrap_or(outer);
    let Some(both) = elements(look, &inner)? else {
        return Ok(None);
    };
    let Some(owned) = both.first() else {
        return Ok(None);
    };
    held(look, owned, both.get(1).cloned())
}

/// `shared_ptr` and `weak_ptr`.
pub(super) fn shared<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(to), Some(counted)) = (
        look.member(object, "_M_ptr")?,
        look.path(object, &["_M_refcount", "_M_pi"])?,
    ) else {
        return Ok(None);
    };
    let counts = look
        .pointee(&counted)?
        .map(|counted| counts(look, &counted));
    owner(look, &to, counts)
}

fn counts(look: &Look<'_, '_>, counted: &Typed) -> Result<Owned> {
    let count = |name: &str| -> Result<i128> {
        let lost = || Absent::unsupported("debug info does not tell where owners are counted");
        let member = look.member(counted, name)?.ok_or_else(lost)?;
        signed(look, &member)?.ok_or_else(lost)
    };
    let (strong, weak) = (count("_M_use_count")?, count("_M_weak_count")?);
    // All owners together hold one weak reference.
    let weak = weak - i128::from(strong > 0);
    Ok(Owned { strong, weak })
}

pub(super) fn reference<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "_M_data")? {
        Some(to) => pointer(look, &to, Vec::new()),
        None => Ok(None),
    }
}
