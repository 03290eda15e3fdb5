use super::super::contiguous::Contiguous;
use super::super::{Contents, Look, Typed};
use super::align::alignment;
use super::read::broken;
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind, Reason};

/// More elements than memory has bytes.
pub(in crate::value) const MAX_ELEMENTS: u64 = 1 << 47;

/// Programs have no addresses from here on (x86-64 with five levels of pages).
const MAX_ADDRESS: u64 = 1 << 56;

/// The elements between two pointers, the second one behind the last; `None` where the members
/// are no pointers. `room` is where the memory ends that was got for them.
pub(in crate::value) fn between<'a>(
    look: &Look<'_, 'a>,
    begin: &Typed,
    end: &Typed,
    room: Option<&Typed>,
) -> Result<Option<Contents<'a>>> {
    let (Some((begin, of)), Some((end, _))) = (look.pointer(begin)?, look.pointer(end)?) else {
        return Ok(None);
    };
    let stride = look.size(of)?.filter(|stride| *stride > 0);
    let stride = stride.ok_or_else(|| Absent::unsupported("elements of unknown size"))?;
    let wrong = |detail: &str| Ok(Some(broken(Kind::Sequence, Reason::Size, detail)));
    if !is_place(begin, alignment(look, of)?) {
        return wrong("its begin is not the address of an element");
    }
    let Some(bytes) = end.checked_sub(begin) else {
        return wrong("its end is before its begin");
    };
    if !bytes.is_multiple_of(stride) {
        return wrong("its end is inside an element");
    }
    if let Some(room) = room
        && let Some((room, _)) = look.pointer(room)?
        && room < end
    {
        return wrong("its end is behind the memory that it has");
    }
    counted(look, of, begin, bytes / stride)
}

/// Whether objects of an alignment may be at an address of a program, or it is null.
pub(in crate::value) fn is_place(address: u64, alignment: u64) -> bool {
    address < MAX_ADDRESS && address.is_multiple_of(alignment)
}

/// So many elements from an address on.
pub(in crate::value) fn counted<'a>(
    look: &Look<'_, 'a>,
    of: Option<DieRef>,
    at: u64,
    len: u64,
) -> Result<Option<Contents<'a>>> {
    if len > MAX_ELEMENTS {
        let detail = format!("its length is {len}, which no memory holds");
        return Ok(Some(broken(Kind::Sequence, Reason::Size, detail)));
    }
    let walk = Contiguous::new(look, of, Object::Memory(at), len)?;
    Ok(Some(Contents::Sequence {
        len: Some(len),
        walk: Box::new(walk),
    }))
}
