use super::super::Walk;
use super::{Contents, Look, Typed, newtype, vec};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind, Reason};

/// A `VecDeque`: a ring.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(of), Some(room), Some(head)) = (
        look.parameter(object.of, "T")?,
        vec::room(look, object)?,
        newtype::member(look, object, "head")?,
    ) else {
        return Ok(None);
    };
    let stride = look.size(Some(of))?;
    let stride = stride.ok_or_else(|| Absent::unsupported("elements of unknown size"))?;
    let capacity = match stride {
        0 => u64::MAX,
        _ => room.capacity,
    };
    let (first, len) = match newtype::member(look, object, "len")? {
        Some(len) => (head, len),
        // Before 1.67 there was an end in place of a length, and the room a power of two.
        None => match newtype::member(look, object, "tail")? {
            Some(tail) => (tail, head.wrapping_sub(tail) & capacity.wrapping_sub(1)),
            None => return Ok(None),
        },
    };
    let begins_behind = first >= capacity && (first, capacity) != (0, 0);
    let why = match vec::too_long(len, capacity) {
        None if begins_behind => {
            let detail = format!("it begins at {first}, its capacity is {capacity}");
            Some(Absent::new(Reason::Size, detail))
        }
        why => why,
    };
    if let Some(why) = why {
        let kind = Kind::Sequence;
        return Ok(Some(Contents::Broken { kind, why }));
    }
    let walk = Ring {
        of,
        address: room.address,
        stride,
        capacity,
        at: first,
        left: len,
    };
    Ok(Some(Contents::Sequence {
        len: Some(len),
        walk: Box::new(walk),
    }))
}

struct Ring {
    of: DieRef,
    address: u64,
    stride: u64,
    capacity: u64,
    at: u64,
    left: u64,
}

impl<'a> Walk<'a> for Ring {
    type Item = Typed;

    fn next(&mut self, _: &Look<'_, 'a>) -> Result<Option<Typed>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let skip = self.at.wrapping_mul(self.stride);
        self.at = match self.at + 1 {
            next if next == self.capacity => 0,
            next => next,
        };
        Ok(Some(Typed {
            of: Some(self.of),
            object: Object::Memory(self.address.wrapping_add(skip)),
        }))
    }
}
