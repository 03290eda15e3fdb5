use super::super::contents::PartAt;
use super::super::{Contents, Look, Typed};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind};

/// How many nodes of a list are looked at for its end.
const MAX_NODES: usize = 1024;
/// More elements than a list has: the node has something else there.
const MAX_COUNT: u64 = 1 << 40;
/// Where the end of a list has the number of its elements, behind two pointers.
const COUNT: u64 = 16;

/// The element of a node; `None` of `is_end` is that it may be the end and may not.
pub(in crate::value) fn node<'a>(
    node: u64,
    offset: u64,
    of: DieRef,
    is_end: Option<bool>,
) -> Contents<'a> {
    if is_end == Some(true) {
        return Contents::Labelled {
            kind: Kind::Pointer,
            text: "end".to_owned(),
            parts: Vec::new(),
        };
    }
    let address = node.wrapping_add(offset);
    let to = Typed {
        of: Some(of),
        object: Object::Memory(address),
    };
    let to = match is_end {
        Some(_) => to.into(),
        None => PartAt::Absent(Absent::unsupported("it may be the end of its list")),
    };
    Contents::Pointer {
        address,
        to: (node != 0).then_some(to),
        parts: Vec::new(),
    }
}

/// The element before the one that a pointer leads to.
pub(in crate::value) fn before<'a>(
    look: &Look<'_, 'a>,
    pointer: &Typed,
) -> Result<Option<Contents<'a>>> {
    let Some((address, of)) = look.pointer(pointer)? else {
        return Ok(None);
    };
    let Some(stride) = look.size(of)? else {
        return Ok(None);
    };
    let address = address.wrapping_sub(stride);
    let object = Object::Memory(address);
    Ok(Some(Contents::Pointer {
        address,
        to: Some(PartAt::Object(Typed { of, object })),
        parts: Vec::new(),
    }))
}

/// Whether a node of a ring is the one in the list's own object, which has the number of the others
/// in place of an element; `None` where that cannot be told. `next` is where a node has the next one.
pub(in crate::value) fn list_end(
    look: &Look<'_, '_>,
    node: u64,
    next: u64,
) -> Result<Option<bool>> {
    let word =
        |at: u64| -> Result<u64> { Ok(u64::from_le_bytes(Object::Memory(at).array(look.target)?)) };
    let count = word(node.wrapping_add(COUNT))?;
    if count > MAX_COUNT {
        return Ok(Some(false));
    }
    let mut at = word(node.wrapping_add(next))?;
    let mut ring = Vec::new();
    while at != node {
        if at == 0 || ring.len() as u64 > count {
            // The ring is longer than an end would say.
            return Ok(Some(false));
        }
        if ring.len() == MAX_NODES {
            return Ok(None);
        }
        ring.push(at);
        at = word(at.wrapping_add(next))?;
    }
    let others = ring.len() as u64;
    if others != count {
        return Ok(Some(false));
    }
    for other in ring {
        // An element is the same number, or this one is the element and that one the end.
        if word(other.wrapping_add(COUNT))? == others {
            return Ok(None);
        }
    }
    Ok(Some(true))
}
