use super::super::PartAt;
use super::cell::{part, word};
use super::{Contents, Look, Typed, newtype};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::shape::Shape;
use crate::value::tree::Kind;

/// The bits of a `RwLock` that count readers; all of them are a writer (`std::sys::sync::rwlock`,
/// futex).
const READERS: u64 = (1 << 30) - 1;

/// A `Mutex`: its value, whether it is locked, and whether a thread panicked while it had it.
pub(super) fn mutex<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(value), Some(inner)) = (
        look.path(object, &["data", "value"])?,
        look.member(object, "inner")?,
    ) else {
        return Ok(None);
    };
    let mut parts = vec![part("value", value)];
    // Unlocked, locked, locked with others waiting.
    if let Some(state) = newtype::member(look, &inner, "futex")? {
        parts.push(word("locked", Kind::Bool, (state != 0).to_string()));
    }
    parts.extend(poison(look, object)?);
    Ok(Some(Contents::Parts(parts)))
}

pub(super) fn rw_lock<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(value), Some(inner)) = (
        look.path(object, &["data", "value"])?,
        look.member(object, "inner")?,
    ) else {
        return Ok(None);
    };
    let mut parts = vec![part("value", value)];
    if let Some(state) = newtype::member(look, &inner, "state")? {
        let text = match state & READERS {
            0 => "free".to_owned(),
            READERS => "written".to_owned(),
            readers => format!("read by {readers}"),
        };
        parts.push(word("lock", Kind::Enum, text));
    }
    parts.extend(poison(look, object)?);
    Ok(Some(Contents::Parts(parts)))
}

fn poison<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<super::super::Part<'a>>> {
    let Some(flag) = look.member(object, "poison")? else {
        return Ok(None);
    };
    let failed = newtype::member(look, &flag, "failed")?;
    Ok(failed.map(|failed| word("poisoned", Kind::Bool, (failed != 0).to_string())))
}

/// A guard that knows its lock: it leads to the value.
pub(super) fn guard<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(lock) = look.member(object, "lock")? else {
        return Ok(None);
    };
    let Shape::Pointer(of) = look.shape(lock.of)? else {
        return Ok(None);
    };
    let lock = Typed {
        of,
        object: Object::Memory(look.word(&lock)?),
    };
    let Some(value) = look.path(&lock, &["data", "value"])? else {
        return Ok(None);
    };
    Ok(value.object.address().map(|address| Contents::Pointer {
        address,
        to: Some(PartAt::Object(value)),
        parts: Vec::new(),
    }))
}
