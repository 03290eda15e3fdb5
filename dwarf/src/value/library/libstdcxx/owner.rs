use super::super::cpp::{Owned, held, owner, pointer, signed};
use super::super::{Contents, Look, Typed};
use super::tuple::elements;
use crate::value::evaluate::Result;

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
    let counts = match look.pointee(&counted)? {
        Some(counted) => {
            let (Some(strong), Some(weak)) = (
                look.member(&counted, "_M_use_count")?,
                look.member(&counted, "_M_weak_count")?,
            ) else {
                return Ok(None);
            };
            let (Some(strong), Some(weak)) = (signed(look, &strong)?, signed(look, &weak)?) else {
                return Ok(None);
            };
            // All owners together hold one weak reference.
            let weak = weak - i128::from(strong > 0);
            Some(Owned { strong, weak })
        }
        None => None,
    };
    owner(look, &to, counts)
}

pub(super) fn reference<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "_M_data")? {
        Some(to) => pointer(look, &to, Vec::new()),
        None => Ok(None),
    }
}
