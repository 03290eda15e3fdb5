use super::super::contents::Part;
use super::super::cpp::{element, family, is_std};
use super::super::{Contents, Look, Typed, Walk};
use crate::value::evaluate::Result;
use crate::value::fields::FieldAt;
use crate::value::tree::Absent;

/// The longest tuple.
const MAX_ELEMENTS: usize = 256;

/// `pair`, without the empty base that it has since C++20.
pub(super) fn pair<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    if !is_std(look, object.of)? {
        return Ok(None);
    }
    let (Some(first), Some(second)) = (
        look.member(object, "first")?,
        look.member(object, "second")?,
    ) else {
        return Ok(None);
    };
    Ok(Some(Contents::Parts(vec![
        Part::object("first", first),
        Part::object("second", second),
    ])))
}

pub(super) fn tuple<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(elements) = elements(look, object)? else {
        return Ok(None);
    };
    let parts = elements.into_iter().enumerate();
    let parts = parts.map(|(index, element)| Part::object(&index.to_string(), element));
    Ok(Some(Contents::Parts(parts.collect())))
}

/// The elements of a `tuple`, each in a base of the base that has those behind it.
pub(super) fn elements(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Vec<Typed>>> {
    if !is_std(look, object.of)? {
        return Ok(None);
    }
    let mut elements = Vec::new();
    let mut rest = base(look, object, "_Tuple_impl")?;
    if rest.is_none()
        && let Some(die) = look.structure(object.of)?
        && !look.fields_of(die)?.is_empty()
    {
        return Ok(None);
    }
    while let Some(at) = rest {
        if elements.len() == MAX_ELEMENTS {
            break;
        }
        let Some(head) = base(look, &at, "_Head_base")? else {
            break;
        };
        let element = match look.member(&head, "_M_head_impl")? {
            Some(element) => element,
            // Older ones have an empty element as their base.
            None => Typed {
                of: element(look, head.of, "_Head")?,
                object: head.object,
            },
        };
        elements.push(element);
        rest = base(look, &at, "_Tuple_impl")?;
    }
    Ok(Some(elements))
}

/// The base of an object that is made of a template.
fn base(look: &Look<'_, '_>, object: &Typed, template: &str) -> Result<Option<Typed>> {
    let Some(die) = look.structure(object.of)? else {
        return Ok(None);
    };
    for field in look.fields_of(die)?.iter().filter(|field| field.is_base) {
        if let FieldAt::Bytes(offset) = field.at
            && family(&look.name(field.of)?) == template
        {
            return Ok(Some(Typed {
                of: field.of,
                object: object.object.at(offset),
            }));
        }
    }
    Ok(None)
}

/// Elements that are pairs, as keys with values.
pub(super) struct Entries<'a>(pub(super) Box<dyn Walk<'a, Item = Typed> + 'a>);

impl<'a> Walk<'a> for Entries<'a> {
    type Item = (Typed, Typed);

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<(Typed, Typed)>> {
        let Some(pair) = self.0.next(look)? else {
            return Ok(None);
        };
        let (Some(key), Some(value)) =
            (look.member(&pair, "first")?, look.member(&pair, "second")?)
        else {
            return Err(Absent::unsupported("entries that are no pairs"));
        };
        Ok(Some((key, value)))
    }
}
