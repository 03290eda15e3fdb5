use super::super::cpp::{any_member, broken, characters};
use super::super::{Contents, Look, Typed};
use super::member;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Kind, Reason};

/// `basic_string`: long text elsewhere or short text in the object, which a bit tells. Where the
/// short form has a member `__is_long_` (LLVM 15), that is the bit; else it is the lowest one of
/// `__size_`, or the highest where that stands behind the text (`_LIBCPP_ABI_ALTERNATE_STRING_LAYOUT`).
pub(super) fn owned<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(all) = member(look, object, "__r_", "__rep_")? else {
        return Ok(None);
    };
    let (Some(short), Some(long)) = (look.member(&all, "__s")?, look.member(&all, "__l")?) else {
        return Ok(None);
    };
    let (Some(text), Some(data)) = (
        look.member(&short, "__data_")?,
        look.member(&long, "__data_")?,
    ) else {
        return Ok(None);
    };
    let Some((at, of)) = look.pointer(&data)? else {
        return Ok(None);
    };
    let (is_long, length, room) = match look.bits(&short, "__is_long_")? {
        Some(is_long) => {
            let length = look.bits(&short, "__size_")?;
            (is_long == 1, length, look.bits(&long, "__cap_")?)
        }
        None => {
            let Some(size) = look.member(&short, "__size_")? else {
                return Ok(None);
            };
            let is_behind = size.object.address() > text.object.address();
            let size = look.word(&size)?;
            let capacity = look.bits(&long, "__cap_")?;
            match is_behind {
                true => {
                    let capacity = capacity.map(|capacity| capacity & (u64::MAX >> 1));
                    (size & 0x80 != 0, Some(size), capacity)
                }
                false => (size & 1 != 0, Some(size >> 1), capacity.map(|all| all & !1)),
            }
        }
    };
    let Some(length) = length else {
        return Ok(None);
    };
    let width = look.size(of)?.unwrap_or(1).max(1);
    let (at, length, room) = match is_long {
        true => {
            let Some(length) = look.bits(&long, "__size_")? else {
                return Ok(None);
            };
            (Object::Memory(at), length, room)
        }
        false => {
            let whole = look.size(object.of)?.unwrap_or(0);
            (text.object, length, Some(whole / width))
        }
    };
    if let Some(room) = room
        && length > room
    {
        let detail = format!("its length is {length}, and its room {room}");
        return Ok(Some(broken(Kind::String, Reason::Size, detail)));
    }
    characters(look, of, at, length)
}

pub(super) fn view<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(data), Some(length)) = (
        any_member(look, object, &["__data_", "__data"])?,
        any_member(look, object, &["__size_", "__size"])?,
    ) else {
        return Ok(None);
    };
    let Some((at, of)) = look.pointer(&data)? else {
        return Ok(None);
    };
    characters(look, of, Object::Memory(at), look.word(&length)?)
}
