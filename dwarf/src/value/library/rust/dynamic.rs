use super::super::PartAt;
use super::{Look, Typed};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Reason};

/// The most an object may be aligned to.
const MAX_ALIGNMENT: u64 = 1 << 29;

/// The object behind a `dyn Trait`, by its vtable.
pub(super) fn object<'a>(look: &Look<'_, 'a>, address: u64, vtable: u64) -> Result<PartAt<'a>> {
    let module = look.target.module_at(vtable);
    let Some(module) = module.map(|module| &look.target.modules()[module]) else {
        let detail = format!("no vtable at {vtable:#x}");
        return Ok(PartAt::Absent(Absent::new(Reason::Unreadable, detail)));
    };
    let object = Object::Memory(address);
    if std::ptr::eq(&raw const module.binary, look.info.binary) {
        let addr = module.file_addr(vtable);
        let types = look.info.vtable_types(addr.0);
        let mut names = Vec::new();
        for of in types {
            names.push(look.info.qualified_name(*of)?);
        }
        match (types, names.as_slice()) {
            ([of, ..], [name, others @ ..]) if others.iter().all(|other| other == name) => {
                return Ok(PartAt::Dynamic {
                    type_name: name.clone(),
                    object: Typed {
                        of: Some(*of),
                        object,
                    },
                });
            }
            ([], _) | (_, []) => {}
            // Linkers and compilers merge what is equal.
            _ => {
                let detail = format!("one vtable is that of {}", names.join(" and "));
                return Ok(PartAt::Absent(Absent::unsupported(detail)));
            }
        }
    }
    // The first word of a vtable is the function that drops the object. Functions with the same
    // instructions are merged: its name is no more than a trace.
    let mut detail = "debug info has no type for its vtable".to_owned();
    if let Some(dropped) = dropped(look, vtable) {
        detail.push_str(&format!(", it is dropped as {dropped}"));
    }
    Ok(PartAt::Absent(Absent::unsupported(detail)))
}

fn dropped(look: &Look<'_, '_>, vtable: u64) -> Option<String> {
    let glue = look.target.word(vtable)?;
    let module = &look.target.modules()[look.target.module_at(glue)?];
    let symbol = module.binary.symbol_at(module.file_addr(glue))?;
    let name = symbol.name();
    let (_, of) = name.split_once("drop_in_place")?;
    let of = of.trim_start_matches("::").strip_prefix('<')?;
    Some(of.strip_suffix('>')?.to_owned())
}

/// The alignment that a vtable tells: its third word.
pub(super) fn alignment(look: &Look<'_, '_>, vtable: u64) -> Result<u64> {
    let at = Object::Memory(vtable.wrapping_add(16));
    let align = u64::from_le_bytes(at.array(look.target)?);
    match align.is_power_of_two() && align <= MAX_ALIGNMENT {
        true => Ok(align),
        false => Err(Absent::unsupported("a vtable with a wrong alignment")),
    }
}
