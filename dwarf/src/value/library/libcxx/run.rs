use super::super::cpp::{any_member, counted, element, value_argument};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::shape::Shape;

/// `array`, which has an array, or aligned room without elements in its place.
pub(super) fn fixed<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(elements) = look.member(object, "__elems_")? else {
        return Ok(None);
    };
    match (
        look.shape(elements.of)?,
        value_argument(look, object.of, "_Size")?,
    ) {
        (Shape::Array { .. }, Some(1..)) => Ok(Some(Contents::Itself(elements))),
        (_, Some(0)) => counted(look, element(look, object.of, "_Tp")?, 0, 0),
        _ => Ok(None),
    }
}

/// `span`, whose length is in the object or in its type.
pub(super) fn span<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(data) = any_member(look, object, &["__data_", "__data"])? else {
        return Ok(None);
    };
    let Some((at, of)) = look.pointer(&data)? else {
        return Ok(None);
    };
    let length = match any_member(look, object, &["__size_", "__size"])? {
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
        look.member(object, "__begin_")?,
        look.member(object, "__size_")?,
    ) else {
        return Ok(None);
    };
    let Some((at, of)) = look.pointer(&data)? else {
        return Ok(None);
    };
    counted(look, of, at, look.word(&length)?)
}
