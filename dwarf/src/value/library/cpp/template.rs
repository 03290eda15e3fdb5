use super::super::Look;
use crate::info::{Die, DieRef};
use crate::value::evaluate::Result;
use crate::value::shape::Shape;

/// The type that a template was made for, by the name of its parameter; the outer `None` where it
/// has none of that name.
pub(in crate::value) fn type_argument(
    look: &Look<'_, '_>,
    of: Option<DieRef>,
    name: &str,
) -> Result<Option<Option<DieRef>>> {
    named(look, of, gimli::DW_TAG_template_type_parameter, name)
}

/// The type of a container's elements. gcc leaves out the parameters of some structures, while
/// their typedefs stay.
pub(in crate::value) fn element(
    look: &Look<'_, '_>,
    of: Option<DieRef>,
    parameter: &str,
) -> Result<Option<DieRef>> {
    if let Some(found) = type_argument(look, of, parameter)? {
        return Ok(found);
    }
    if let Some(found) = named(look, of, gimli::DW_TAG_typedef, "value_type")? {
        return Ok(found);
    }
    let pointer = named(look, of, gimli::DW_TAG_typedef, "pointer")?.flatten();
    Ok(match look.shape(pointer)? {
        Shape::Pointer(to) => to,
        _ => None,
    })
}

/// What a child of a structure refers to.
fn named(
    look: &Look<'_, '_>,
    of: Option<DieRef>,
    tag: gimli::DwTag,
    name: &str,
) -> Result<Option<Option<DieRef>>> {
    let Some(die) = look.structure(of)? else {
        return Ok(None);
    };
    for child in look.info.children(die)? {
        if child.tag() == tag && look.info.own_name(&child).as_deref() == Some(name) {
            return Ok(Some(look.info.follow(&child, gimli::DW_AT_type)));
        }
    }
    Ok(None)
}

/// The number that a template was made for, by the name of its parameter.
pub(in crate::value) fn value_argument(
    look: &Look<'_, '_>,
    of: Option<DieRef>,
    name: &str,
) -> Result<Option<u64>> {
    let Some(die) = look.structure(of)? else {
        return Ok(None);
    };
    for child in look.info.children(die)? {
        if child.tag() == gimli::DW_TAG_template_value_parameter
            && look.info.own_name(&child).as_deref() == Some(name)
        {
            return Ok(number(&child));
        }
    }
    Ok(None)
}

/// The types in the first parameter pack of a template.
pub(in crate::value) fn pack(
    look: &Look<'_, '_>,
    of: Option<DieRef>,
) -> Result<Option<Vec<Option<DieRef>>>> {
    let Some(die) = look.structure(of)? else {
        return Ok(None);
    };
    for child in look.info.children(die)? {
        if child.tag() == gimli::DW_TAG_GNU_template_parameter_pack {
            let types = look.info.children(child.at)?;
            let types = types
                .iter()
                .filter(|die| die.tag() == gimli::DW_TAG_template_type_parameter);
            return Ok(Some(
                types
                    .map(|die| look.info.follow(die, gimli::DW_AT_type))
                    .collect(),
            ));
        }
    }
    Ok(None)
}

fn number(die: &Die<'_>) -> Option<u64> {
    match die.attr(gimli::DW_AT_const_value)? {
        gimli::AttributeValue::Sdata(number) => u64::try_from(number).ok(),
        _ => die.udata(gimli::DW_AT_const_value),
    }
}
