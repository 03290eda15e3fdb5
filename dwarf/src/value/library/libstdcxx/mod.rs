//! GNU's C++ library.

use super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

pub(super) fn contents<'a>(_: &Look<'_, 'a>, _: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(None)
}
