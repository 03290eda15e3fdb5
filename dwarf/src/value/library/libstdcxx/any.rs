use super::super::cpp::{argument_of, family, label, made_for};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::Absent;

/// `any`: the function that manages it was made for its type, and for whether that is in the
/// object.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(manager), Some(storage)) = (
        look.member(object, "_M_manager")?,
        look.member(object, "_M_storage")?,
    ) else {
        return Ok(None);
    };
    let Some((manager, _)) = look.pointer(&manager)? else {
        return Ok(None);
    };
    if manager == 0 {
        return Ok(Some(Contents::State {
            name: "empty".to_owned(),
            parts: Vec::new(),
        }));
    }
    let owner = made_for(look, manager)?;
    let at = match family(&look.name(Some(owner))?) {
        "_Manager_internal" => storage.object,
        "_Manager_external" => {
            Object::Memory(u64::from_le_bytes(storage.object.array(look.target)?))
        }
        _ => return Err(Absent::unsupported("it is managed by an unknown function")),
    };
    let of = argument_of(look, owner, "_Tp")?;
    Ok(Some(Contents::Variant {
        name: label(look, of),
        holds: Typed { of, object: at },
    }))
}
