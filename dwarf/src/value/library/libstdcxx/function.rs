use super::super::cpp::{self, argument_of, family, made_for};
use super::super::{Contents, Look, Typed};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind};

/// `function`: the function that manages it was made for what it calls.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(manager), Some(storage)) = (
        look.member(object, "_M_manager")?,
        look.member(object, "_M_functor")?,
    ) else {
        return Ok(None);
    };
    let Some((manager, _)) = look.pointer(&manager)? else {
        return Ok(None);
    };
    if manager == 0 {
        return Ok(Some(Contents::Labelled {
            kind: Kind::Function,
            text: "empty".to_owned(),
            parts: Vec::new(),
        }));
    }
    let owner = made_for(look, manager)?;
    let of = argument_of(look, owner, "_Functor")?;
    let object = match is_local(look, owner)? {
        true => storage.object,
        false => Object::Memory(u64::from_le_bytes(storage.object.array(look.target)?)),
    };
    cpp::function(look, Typed { of, object })
}

/// Whether what is called is in the object, by the constant `__stored_locally` of the manager.
fn is_local(look: &Look<'_, '_>, owner: DieRef) -> Result<bool> {
    // The function may stand in a declaration of the structure.
    let owner = look.structure(Some(owner))?.unwrap_or(owner);
    let mut candidates = vec![owner];
    for child in look.info.children(owner)? {
        if child.tag() == gimli::DW_TAG_inheritance
            && let Some(base) = look.structure(look.info.follow(&child, gimli::DW_AT_type))?
            && family(&look.name(Some(base))?) == "_Base_manager"
        {
            candidates.push(base);
        }
    }
    for candidate in candidates {
        for child in look.info.children(candidate)? {
            if look.info.own_name(&child).as_deref() == Some("__stored_locally")
                && let Some(constant) = child.udata(gimli::DW_AT_const_value)
            {
                return Ok(constant != 0);
            }
        }
    }
    let detail = "debug info does not tell where it keeps what it calls";
    Err(Absent::unsupported(detail))
}
