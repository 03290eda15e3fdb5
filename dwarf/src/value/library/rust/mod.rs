//! Rust's standard library.

use super::contiguous;
use super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    contiguous::contents(look, object)
}
