//! What structures of the standard libraries stand for: the elements of a vector, the entries of a
//! map, what a smart pointer owns. They are recognised by their names and members in debug info and
//! never by the version of a compiler, and `Limits::raw` shows the structures instead.

mod contents;
mod contiguous;
mod cpp;
mod libcxx;
mod libstdcxx;
mod look;
mod rust;

pub(super) use contents::{Contents, Part, PartAt, Walk};
pub(super) use look::{Look, Typed};

use super::evaluate::Result;
use crate::info::Language;

/// What an object of a structure or union is to its author; `None` where it is just that, which
/// depends on its type alone.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(at) = object.of else {
        return Ok(None);
    };
    match look.info.language(at.unit) {
        Language::Rust => return rust::contents(look, object),
        Language::C => return Ok(None),
        Language::Cpp => {}
    }
    match libstdcxx::contents(look, object)? {
        None => libcxx::contents(look, object),
        found => Ok(found),
    }
}
