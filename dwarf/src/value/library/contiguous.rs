use super::contents::{Contents, Walk};
use super::look::{Look, Typed};
use crate::info::DieRef;
use crate::types;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind, Reason};

/// More elements than memory has bytes.
const MAX_ELEMENTS: u64 = 1 << 47;

/// What is one pointer and one length: strings, slices, vectors.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(die) = look.structure(object.of)? else {
        return Ok(None);
    };
    let Some(found) = look.info.sequence(die)? else {
        return Ok(None);
    };
    let word = |offset: u64| -> Result<u64> {
        let bytes = object.object.at(offset).array(look.target)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let (pointer, len) = (word(found.pointer)?, word(found.length)?);
    if len > MAX_ELEMENTS {
        let kind = match found.text {
            true => Kind::String,
            false => Kind::Sequence,
        };
        let detail = format!("its length is {len}, which no memory holds");
        let why = Absent::new(Reason::Size, detail);
        return Ok(Some(Contents::Broken { kind, why }));
    }
    let at = Object::Memory(pointer);
    if found.text {
        return Ok(Some(Contents::Text { at, bytes: len }));
    }
    let types::Target::Die(element) = found.element else {
        return Err(Absent::unsupported("elements of an unknown type"));
    };
    let walk = Contiguous::new(look, Some(element), at, len)?;
    Ok(Some(Contents::Sequence {
        len: Some(len),
        walk: Box::new(walk),
    }))
}

/// Elements one behind the other.
pub(super) struct Contiguous {
    of: Option<DieRef>,
    at: Object,
    stride: u64,
    left: u64,
}

impl Contiguous {
    pub(super) fn new(
        look: &Look<'_, '_>,
        of: Option<DieRef>,
        at: Object,
        len: u64,
    ) -> Result<Contiguous> {
        let stride = look.size(of)?;
        let stride = stride.ok_or_else(|| Absent::unsupported("elements of unknown size"))?;
        Ok(Contiguous {
            of,
            at,
            stride,
            left: len,
        })
    }
}

impl<'a> Walk<'a> for Contiguous {
    type Item = Typed;

    fn next(&mut self, _: &Look<'_, 'a>) -> Result<Option<Typed>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let next = self.at.at(self.stride);
        let object = std::mem::replace(&mut self.at, next);
        Ok(Some(Typed {
            of: self.of,
            object,
        }))
    }
}
