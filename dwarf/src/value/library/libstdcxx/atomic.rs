use super::super::cpp::any_path;
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

/// `atomic` and `atomic_flag` are what they hold.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let held = any_path(
        look,
        object,
        &[
            &["_M_i"],
            &["_M_base", "_M_i"],
            &["_M_b", "_M_p"],
            &["_M_p"],
            &["_M_fp"],
            &["_M_impl", "_M_ptr"],
        ],
    )?;
    Ok(held.map(Contents::Itself))
}

pub(super) fn complex<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(look.member(object, "_M_value")?.map(Contents::Itself))
}
