use super::super::cpp::{any_member, argument_of, family, label, made_for};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::Absent;

/// `any`: the function that handles it was made for its type, and for whether that is in the
/// object.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(handler), Some(storage)) = (
        any_member(look, object, &["__h_", "__h"])?,
        any_member(look, object, &["__s_", "__s"])?,
    ) else {
        return Ok(None);
    };
    let Some((handler, _)) = look.pointer(&handler)? else {
        return Ok(None);
    };
    if handler == 0 {
        return Ok(Some(Contents::State {
            name: "empty".to_owned(),
            parts: Vec::new(),
        }));
    }
    let owner = made_for(look, handler)?;
    let at = match family(&look.name(Some(owner))?) {
        "_SmallHandler" => storage.object,
        "_LargeHandler" => Object::Memory(u64::from_le_bytes(storage.object.array(look.target)?)),
        _ => return Err(Absent::unsupported("it is handled by an unknown function")),
    };
    let of = argument_of(look, owner, "_Tp")?;
    Ok(Some(Contents::Variant {
        name: label(look, of),
        holds: Typed { of, object: at },
    }))
}
