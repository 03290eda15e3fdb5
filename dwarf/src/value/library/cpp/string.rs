use super::super::{Contents, Look};
use super::between::MAX_ELEMENTS;
use super::read::broken;
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::shape::Shape;
use crate::value::text::Unit;
use crate::value::tree::{Kind, Reason};

/// So many characters of a type; `None` where they are no characters.
pub(in crate::value) fn characters<'a>(
    look: &Look<'_, 'a>,
    of: Option<DieRef>,
    at: Object,
    len: u64,
) -> Result<Option<Contents<'a>>> {
    if len > MAX_ELEMENTS {
        let detail = format!("its length is {len}, which no memory holds");
        return Ok(Some(broken(Kind::String, Reason::Size, detail)));
    }
    let Shape::Base { bytes, .. } = look.shape(of)? else {
        return Ok(None);
    };
    let unit = match bytes {
        1 => return Ok(Some(Contents::Text { at, bytes: len })),
        2 => Unit::Utf16,
        4 => Unit::Utf32,
        _ => return Ok(None),
    };
    Ok(Some(Contents::Wide {
        at,
        unit,
        units: len,
    }))
}
