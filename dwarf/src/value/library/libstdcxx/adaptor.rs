use super::super::cpp::is_std;
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

/// `stack`, `queue`, `priority_queue`: the container that they adapt, in its own order. The
/// standard names the member, so that it is the same in every library.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    if !is_std(look, object.of)? {
        return Ok(None);
    }
    Ok(look.member(object, "c")?.map(Contents::Itself))
}
