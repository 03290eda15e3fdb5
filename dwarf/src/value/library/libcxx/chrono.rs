use super::super::cpp;
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

pub(super) fn duration<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "__rep_")? {
        Some(ticks) => cpp::duration(look, object, &ticks),
        None => Ok(None),
    }
}

pub(super) fn time_point<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(since), Some(ticks)) = (
        look.member(object, "__d_")?,
        look.path(object, &["__d_", "__rep_"])?,
    ) else {
        return Ok(None);
    };
    cpp::time_point(look, object, &since, &ticks)
}
