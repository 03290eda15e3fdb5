use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

/// `filesystem::path` is the text that it was made of.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(look.member(object, "__pn_")?.map(Contents::Itself))
}
