use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::shape::Shape;
use crate::value::tree::Kind;

/// `atomic` and `atomic_flag` are what they hold.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let held = look.path(object, &["__a_", "__a_value"])?;
    Ok(held.map(Contents::Itself))
}

/// `complex`, as the compiler's own complex numbers are written.
pub(super) fn complex<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(real), Some(imaginary)) =
        (look.member(object, "__re_")?, look.member(object, "__im_")?)
    else {
        return Ok(None);
    };
    let (Some(real), Some(imaginary)) = (float(look, &real)?, float(look, &imaginary)?) else {
        return Ok(None);
    };
    let sign = if imaginary.starts_with('-') { "" } else { "+" };
    Ok(Some(Contents::Scalar {
        kind: Kind::Float,
        text: format!("{real}{sign}{imaginary}i"),
    }))
}

fn float(look: &Look<'_, '_>, object: &Typed) -> Result<Option<String>> {
    let Shape::Base {
        encoding, bytes, ..
    } = look.shape(object.of)?
    else {
        return Ok(None);
    };
    if encoding != gimli::DW_ATE_float || ![4, 8].contains(&bytes) {
        return Ok(None);
    }
    let word = object.object.bits(look.target, 0, bytes * 8)?;
    Ok(Some(crate::value::scalar::base(
        encoding,
        "",
        bytes * 8,
        word,
    )?))
}
