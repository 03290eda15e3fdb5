use std::rc::Rc;

use super::super::contents::Part;
use super::super::{Contents, Look, Typed};
use super::template::type_argument;
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::fields::FieldAt;
use crate::value::shape::Shape;
use crate::value::tree::{Absent, Kind, Reason};

/// The structure that a member function at an address is declared in: libraries forget the types
/// of what they hold, but not the functions that they were made for.
pub(in crate::value) fn made_for(look: &Look<'_, '_>, address: u64) -> Result<DieRef> {
    let lost = || Absent::unsupported("its type is not told by debug info");
    let nowhere = || {
        Absent::new(
            Reason::Unreadable,
            format!("no function is at {address:#x}"),
        )
    };
    let module = look.target.module_at(address).ok_or_else(nowhere)?;
    let addr = look.target.modules()[module].file_addr(address).0;
    let code = look.target.code_at(module, addr).ok_or_else(lost)?;
    if !Rc::ptr_eq(&code.info, look.info) {
        return Err(Absent::unsupported("its type is in another library"));
    }
    let info = look.info;
    let function = code.die(code.function().ok_or_else(lost)?);
    for die in info.origins(function)? {
        let scopes = info.scopes(die.at.unit)?;
        let Some(offset) = scopes.parent_of(die.at.offset) else {
            continue;
        };
        let parent = DieRef {
            unit: die.at.unit,
            offset,
        };
        let tag = info.die(parent)?.tag();
        if tag == gimli::DW_TAG_structure_type || tag == gimli::DW_TAG_class_type {
            return Ok(parent);
        }
    }
    Err(lost())
}

/// Something that is called: a function by its pointer, an object by its type with what it holds.
pub(in crate::value) fn function<'a>(
    look: &Look<'_, 'a>,
    called: Typed,
) -> Result<Option<Contents<'a>>> {
    let die = match look.shape(called.of)? {
        Shape::Struct { die, .. } => die,
        _ => return Ok(Some(Contents::Itself(called))),
    };
    let mut text = look.info.qualified_name(die)?;
    let is_lambda = look
        .info
        .own_name(&look.info.die(die)?)
        .is_none_or(|name| name.contains("lambda"));
    if is_lambda {
        // gcc calls it `<lambda(int)>`, and clang nothing.
        if let Some(at) = text.rfind("::").filter(|_| !text.contains("<lambda")) {
            text.truncate(at);
            text.push_str("::<lambda>");
        }
        if let Some((file, line)) = look.info.declared(die)? {
            let file = file.rsplit('/').next().unwrap_or_default();
            text.push_str(&format!(" at {file}:{line}"));
        }
    }
    let mut parts = Vec::new();
    for field in look.fields_of(die)?.iter() {
        if let (FieldAt::Bytes(offset), Some(name)) = (field.at, &field.name) {
            let name = name.strip_prefix("__").unwrap_or(name);
            let object = called.object.at(offset);
            parts.push(Part::object(
                name,
                Typed {
                    of: field.of,
                    object,
                },
            ));
        }
    }
    Ok(Some(Contents::Labelled {
        kind: Kind::Function,
        text,
        parts,
    }))
}

/// The type in a parameter of the structure that a function was made for.
pub(in crate::value) fn argument_of(
    look: &Look<'_, '_>,
    owner: DieRef,
    parameter: &str,
) -> Result<Option<DieRef>> {
    let found = type_argument(look, Some(owner), parameter)?;
    found.ok_or_else(|| Absent::unsupported("its type is not told by debug info"))
}
