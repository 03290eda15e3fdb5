use super::super::cpp::{self, any_path};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;

/// Mutexes of all kinds, which are those of the C library.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    if let Some(mutex) = look.member(object, "_M_mutex")? {
        return cpp::mutex(look, &mutex);
    }
    match any_path(look, object, &[&["_M_impl", "_M_rwlock"], &["_M_rwlock"]])? {
        Some(lock) => cpp::rwlock(look, &lock),
        None => Ok(None),
    }
}

/// `thread` and `thread::id`.
pub(super) fn thread<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match any_path(look, object, &[&["_M_id", "_M_thread"], &["_M_thread"]])? {
        Some(id) => cpp::thread(look, &id),
        None => Ok(None),
    }
}
