use super::super::cpp::alternative;
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

/// `variant`: the index of its alternative, and a union of unions of all of them.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match (
        look.member(object, "_M_index")?,
        look.member(object, "_M_u")?,
    ) {
        (Some(index), Some(place)) => alternative(look, object, &index, place.object),
        _ => Ok(None),
    }
}
