use super::super::cpp;
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

pub(super) fn duration<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "__r")? {
        Some(ticks) => cpp::duration(look, object, &ticks),
        None => Ok(None),
    }
}

pub(super) fn time_point<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(since), Some(ticks)) = (
        look.member(object, "__d")?,
        look.path(object, &["__d", "__r"])?,
    ) else {
        return Ok(None);
    };
    cpp::time_point(look, object, &since, &ticks)
}
