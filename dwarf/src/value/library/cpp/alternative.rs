use super::super::{Contents, Look, Typed};
use super::label::label;
use super::read::broken;
use super::template::pack;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Kind, Reason};

/// The alternative of a `variant` that an index names; all of them are in the same place.
pub(in crate::value) fn alternative<'a>(
    look: &Look<'_, 'a>,
    variant: &Typed,
    index: &Typed,
    place: Object,
) -> Result<Option<Contents<'a>>> {
    let Some(types) = pack(look, variant.of)? else {
        return Ok(None);
    };
    let bits = look.size(index.of)?.unwrap_or(8).saturating_mul(8);
    let index = look.word(index)?;
    // `variant_npos`, in as many bytes as the index has.
    if index == u64::MAX >> (64 - bits.clamp(1, 64)) {
        return Ok(Some(Contents::State {
            name: "valueless".to_owned(),
            parts: Vec::new(),
        }));
    }
    let found = usize::try_from(index)
        .ok()
        .and_then(|index| types.get(index));
    let Some(of) = found else {
        let detail = format!("its alternative is {index}, of {}", types.len());
        return Ok(Some(broken(Kind::Variant, Reason::Size, detail)));
    };
    Ok(Some(Contents::Variant {
        name: label(look, *of),
        holds: Typed {
            of: *of,
            object: place,
        },
    }))
}
