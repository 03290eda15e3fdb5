use super::super::cpp::{any_member, broken, characters};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Kind, Reason};

/// `basic_string`: with its length and room for short text in the object, or, where it was made
/// with `_GLIBCXX_USE_CXX11_ABI=0`, a pointer behind a counted header.
pub(super) fn owned<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(data) = look.path(object, &["_M_dataplus", "_M_p"])? else {
        return Ok(None);
    };
    let Some((at, of)) = look.pointer(&data)? else {
        return Ok(None);
    };
    let Some(length) = look.member(object, "_M_string_length")? else {
        return counted(look, object, at, of);
    };
    let length = look.word(&length)?;
    if let Some(local) = look.member(object, "_M_local_buf")? {
        let width = look.size(of)?.unwrap_or(1).max(1);
        let room = match look.member(object, "_M_allocated_capacity")? {
            // The object was taken apart: it is not known where its own room is.
            _ if object.object.address().is_none() => u64::MAX,
            _ if local.object.address() == Some(at) => {
                let bytes = look.size(local.of)?.unwrap_or(0);
                (bytes / width).saturating_sub(1)
            }
            Some(capacity) => look.word(&capacity)?,
            None => u64::MAX,
        };
        if length > room {
            let detail = format!("its length is {length}, and its room {room}");
            return Ok(Some(broken(Kind::String, Reason::Size, detail)));
        }
    }
    characters(look, of, Object::Memory(at), length)
}

/// The older string: length, capacity and a count of its owners stand before its text.
fn counted<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    at: u64,
    of: Option<crate::info::DieRef>,
) -> Result<Option<Contents<'a>>> {
    /// Of `_Rep_base`: `_M_length`, `_M_capacity`, `_M_refcount` with its padding.
    const HEADER: u64 = 24;
    if look.member(object, "_M_local_buf")?.is_some() {
        return Ok(None);
    }
    let word = |offset: u64| -> Result<u64> {
        let header = Object::Memory(at.wrapping_sub(HEADER));
        Ok(u64::from_le_bytes(header.at(offset).array(look.target)?))
    };
    let (length, room) = (word(0)?, word(8)?);
    if length > room {
        let detail = format!("its length is {length}, and its room {room}");
        return Ok(Some(broken(Kind::String, Reason::Size, detail)));
    }
    characters(look, of, Object::Memory(at), length)
}

pub(super) fn view<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(data), Some(length)) = (
        any_member(look, object, &["_M_str"])?,
        any_member(look, object, &["_M_len"])?,
    ) else {
        return Ok(None);
    };
    let Some((at, of)) = look.pointer(&data)? else {
        return Ok(None);
    };
    characters(look, of, Object::Memory(at), look.word(&length)?)
}
