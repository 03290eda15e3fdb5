use super::super::Look;
use crate::info::DieRef;
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

/// What a parameter or typedef of a structure refers to.
fn named(
    look: &Look<'_, '_>,
    of: Option<DieRef>,
    tag: gimli::DwTag,
    name: &str,
) -> Result<Option<Option<DieRef>>> {
    let Some(die) = look.structure(of)? else {
        return Ok(None);
    };
    let arguments = look.arguments(die)?;
    let mut arguments = arguments.iter();
    let found = arguments.find(|argument| argument.tag == tag && argument.name == name);
    Ok(found.map(|found| found.of))
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
    let arguments = look.arguments(die)?;
    let mut arguments = arguments.iter();
    let found = arguments.find(|argument| {
        argument.tag == gimli::DW_TAG_template_value_parameter && argument.name == name
    });
    Ok(found.and_then(|found| found.value))
}

/// The types in the first parameter pack of a template.
pub(in crate::value) fn pack(
    look: &Look<'_, '_>,
    of: Option<DieRef>,
) -> Result<Option<Vec<Option<DieRef>>>> {
    let Some(die) = look.structure(of)? else {
        return Ok(None);
    };
    let arguments = look.arguments(die)?;
    let is_pack = |tag| tag == gimli::DW_TAG_GNU_template_parameter_pack;
    let Some(begin) = arguments.iter().position(|argument| is_pack(argument.tag)) else {
        return Ok(None);
    };
    let types = arguments[begin + 1..]
        .iter()
        .take_while(|argument| !is_pack(argument.tag) && argument.name.is_empty());
    Ok(Some(types.map(|argument| argument.of).collect()))
}
