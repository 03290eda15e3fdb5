use super::super::cpp::handle;
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "__handle_")? {
        Some(pointer) => handle(look, &pointer),
        None => Ok(None),
    }
}
