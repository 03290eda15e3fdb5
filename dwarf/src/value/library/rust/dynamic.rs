use super::super::PartAt;
use super::{Look, Typed};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Reason};

/// The most an object may be aligned to.
const MAX_ALIGNMENT: u64 = 1 << 29;
/// Before the methods of a vtable stand drop, size and alignment.
const FIRST_METHOD: u64 = 3;
/// How many words of a vtable are looked at.
const MAX_WORDS: u64 = 64;

/// A table of functions of a type for a trait: drop, size, alignment, methods.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vtable {
    pub(super) address: u64,
    /// How many words debug info gives it.
    pub(super) words: u64,
}

/// The object behind a `dyn Trait`, by its vtable.
pub(super) fn object<'a>(look: &Look<'_, 'a>, address: u64, table: Vtable) -> Result<PartAt<'a>> {
    let vtable = table.address;
    let module = look.target.module_at(vtable);
    let Some(module) = module.map(|module| &look.target.modules()[module]) else {
        let detail = format!("no vtable at {vtable:#x}");
        return Ok(PartAt::Absent(Absent::new(Reason::Unreadable, detail)));
    };
    let object = Object::Memory(address);
    if std::ptr::eq(&raw const *module.binary, look.info.binary) {
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
    let mut detail = "debug info has no type for its vtable".to_owned();
    if let Some(name) = identified(look, table) {
        // What `"text".into()` makes, in the standard library, which comes without types.
        let known_as = match name.ends_with("::StringError") {
            true => "alloc::string::String",
            false => &name,
        };
        if let Some(of) = look.info.type_named(known_as) {
            return Ok(PartAt::Dynamic {
                type_name: name,
                object: Typed {
                    of: Some(of),
                    object,
                },
            });
        }
        detail = format!("debug info has no type {name}");
    }
    Ok(PartAt::Absent(Absent::unsupported(detail)))
}

/// The type that the methods of a vtable are of, by their symbols. Functions with the same
/// instructions are merged and keep one name; `type_id` is another one for each type.
fn identified(look: &Look<'_, '_>, table: Vtable) -> Option<String> {
    for index in FIRST_METHOD..table.words.min(MAX_WORDS) {
        let method = look.target.word(table.address.wrapping_add(index * 8))?;
        let Some(module) = look.target.module_at(method) else {
            continue;
        };
        let module = &look.target.modules()[module];
        let Some(symbol) = module.binary.symbol_at(module.file_addr(method)) else {
            continue;
        };
        let name = symbol.name();
        for end in [
            " as core::error::Error>::type_id",
            " as core::any::Any>::type_id",
        ] {
            if let Some(of) = name
                .strip_prefix('<')
                .and_then(|name| name.strip_suffix(end))
            {
                return Some(of.to_owned());
            }
        }
    }
    None
}

/// The alignment that a vtable tells: its third word.
pub(super) fn alignment(look: &Look<'_, '_>, table: Vtable) -> Result<u64> {
    let at = Object::Memory(table.address.wrapping_add(16));
    let align = u64::from_le_bytes(at.array(look.target)?);
    match align.is_power_of_two() && align <= MAX_ALIGNMENT {
        true => Ok(align),
        false => Err(Absent::unsupported("a vtable with a wrong alignment")),
    }
}
