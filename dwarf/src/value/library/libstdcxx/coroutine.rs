use super::super::cpp::handle;
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "_M_fr_ptr")? {
        Some(pointer) => handle(look, &pointer),
        None => Ok(None),
    }
}
