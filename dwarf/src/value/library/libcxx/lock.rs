use super::super::cpp::{self, any_path};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

/// Mutexes that are those of the C library.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "__m_")? {
        Some(mutex) => cpp::mutex(look, &mutex),
        None => Ok(None),
    }
}

/// `thread` and `thread::id`.
pub(super) fn thread<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match any_path(look, object, &[&["__t_"], &["__id_"]])? {
        Some(id) => cpp::thread(look, &id),
        None => Ok(None),
    }
}
