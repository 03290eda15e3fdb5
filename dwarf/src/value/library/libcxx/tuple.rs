use super::super::contents::Part;
use super::super::cpp::{element, family};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::fields::FieldAt;

/// The longest tuple.
const MAX_ELEMENTS: usize = 256;

/// `tuple`: each element is in a base of its own.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(base) = look.member(object, "__base_")? else {
        // An empty one has no members at all.
        return Ok(None);
    };
    let Some(die) = look.structure(base.of)? else {
        return Ok(None);
    };
    let mut parts = Vec::new();
    for field in look.fields_of(die)?.iter().take(MAX_ELEMENTS) {
        let FieldAt::Bytes(offset) = field.at else {
            continue;
        };
        if !field.is_base || family(&look.name(field.of)?) != "__tuple_leaf" {
            continue;
        }
        let leaf = Typed {
            of: field.of,
            object: base.object.at(offset),
        };
        let held = match look.member(&leaf, "__value_")? {
            Some(held) => held,
            // An empty element is a base of its leaf.
            None => Typed {
                of: element(look, leaf.of, "_Hp")?,
                object: leaf.object,
            },
        };
        parts.push(Part::object(&parts.len().to_string(), held));
    }
    Ok(Some(Contents::Parts(parts)))
}
