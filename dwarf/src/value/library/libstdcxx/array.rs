use super::super::cpp::{counted, element, value_argument};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::shape::Shape;

/// `array`, which has an array, or an empty structure in its place.
pub(super) fn fixed<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(elements) = look.member(object, "_M_elems")? else {
        return Ok(None);
    };
    match look.shape(elements.of)? {
        Shape::Array { .. } => Ok(Some(Contents::Itself(elements))),
        _ => counted(look, element(look, object.of, "_Tp")?, 0, 0),
    }
}

/// `span`, whose length is in the object or in its type.
pub(super) fn span<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(data) = look.member(object, "_M_ptr")? else {
        return Ok(None);
    };
    let Some((at, of)) = look.pointer(&data)? else {
        return Ok(None);
    };
    let length = match look.path(object, &["_M_extent", "_M_extent_value"])? {
        Some(length) => look.word(&length)?,
        None => match value_argument(look, object.of, "_Extent")? {
            Some(length) => length,
            None => return Ok(None),
        },
    };
    counted(look, of, at, length)
}

pub(super) fn initializer<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(data), Some(length)) = (
        look.member(object, "_M_array")?,
        look.member(object, "_M_len")?,
    ) else {
        return Ok(None);
    };
    let Some((at, of)) = look.pointer(&data)? else {
        return Ok(None);
    };
    counted(look, of, at, look.word(&length)?)
}
