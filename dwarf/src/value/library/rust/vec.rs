use super::super::contiguous::Contiguous;
use super::{Contents, Look, Typed, newtype};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::shape::Shape;
use crate::value::tree::{Absent, Kind, Reason};

/// More bytes than memory has.
const MAX_BYTES: u64 = 1 << 47;
/// How deep a vector hides its pointer.
const MAX_NESTING: usize = 8;

/// So many things from an address on, and what is wrong with that.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) address: u64,
    pub(super) len: u64,
    pub(super) wrong: Option<Absent>,
}

impl Span {
    /// Finds a length that no memory holds.
    pub(super) fn checked(mut self) -> Span {
        if self.wrong.is_none() && self.len > MAX_BYTES {
            let detail = format!("its length is {}, which no memory holds", self.len);
            self.wrong = Some(Absent::new(Reason::Size, detail));
        }
        self
    }

    /// As elements of a type.
    pub(super) fn sequence<'a>(
        self,
        look: &Look<'_, 'a>,
        of: Option<DieRef>,
    ) -> Result<Contents<'a>> {
        let kind = Kind::Sequence;
        let is_sized = look.size(of)? != Some(0);
        let span = match is_sized {
            true => self.checked(),
            false => self,
        };
        if let Some(why) = span.wrong {
            return Ok(Contents::Broken { kind, why });
        }
        let walk = Contiguous::new(look, of, Object::Memory(span.address), span.len)?;
        Ok(Contents::Sequence {
            len: Some(span.len),
            walk: Box::new(walk),
        })
    }
}

/// The room of a vector: `RawVec`, whatever it is made of.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) address: u64,
    /// In elements; says nothing where elements have no size.
    pub(super) capacity: u64,
}

pub(super) fn room(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Room>> {
    let Some(buffer) = look.member(object, "buf")? else {
        return Ok(None);
    };
    // Since 1.81 the part that does not depend on the element's type is apart.
    let inner = look.member(&buffer, "inner")?.unwrap_or(buffer);
    let (Some(pointer), Some(capacity)) = (
        look.member(&inner, "ptr")?,
        newtype::member(look, &inner, "cap")?,
    ) else {
        return Ok(None);
    };
    let Some(address) = first_pointer(look, &pointer, 0)? else {
        return Ok(None);
    };
    Ok(Some(Room { address, capacity }))
}

fn first_pointer(look: &Look<'_, '_>, object: &Typed, depth: usize) -> Result<Option<u64>> {
    match look.shape(object.of)? {
        Shape::Pointer(_) => {
            let address = object.object.array(look.target)?;
            Ok(Some(u64::from_le_bytes(address)))
        }
        Shape::Struct { .. } if depth < MAX_NESTING => match newtype::only(look, object)? {
            Some(inner) => first_pointer(look, &inner, depth + 1),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// The elements of a `Vec`.
pub(super) fn span(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Span>> {
    let (Some(room), Some(len)) = (room(look, object)?, newtype::member(look, object, "len")?)
    else {
        return Ok(None);
    };
    let of = look.parameter(object.of, "T")?;
    let wrong = match look.size(of)? {
        Some(0) => None,
        _ => too_long(len, room.capacity),
    };
    Ok(Some(Span {
        address: room.address,
        len,
        wrong,
    }))
}

pub(super) fn too_long(len: u64, capacity: u64) -> Option<Absent> {
    (len > capacity).then(|| {
        let detail = format!("its length is {len}, its capacity {capacity}");
        Absent::new(Reason::Size, detail)
    })
}

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(of) = look.parameter(object.of, "T")? else {
        return Ok(None);
    };
    match span(look, object)? {
        Some(span) => span.sequence(look, Some(of)).map(Some),
        None => Ok(None),
    }
}

/// A `BinaryHeap`, in the order of its memory: the largest first.
pub(super) fn heap<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(look.member(object, "data")?.map(Contents::Itself))
}
