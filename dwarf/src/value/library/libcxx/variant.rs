use super::super::cpp::{alternative, any_path};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

/// `variant`: the index of its alternative, all of which are in the same place.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let index = any_path(
        look,
        object,
        &[&["__impl_", "__index"], &["__impl", "__index"]],
    )?;
    let place = any_path(
        look,
        object,
        &[&["__impl_", "__data"], &["__impl", "__data"]],
    )?;
    match (index, place) {
        (Some(index), Some(place)) => alternative(look, object, &index, place.object),
        _ => Ok(None),
    }
}
