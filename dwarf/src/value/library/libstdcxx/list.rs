use super::super::cpp::{Chain, alignment, element};
use super::super::{Contents, Look, Typed};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::tree::Absent;

/// `list`: nodes in a ring through one in the object, which newer ones count.
pub(super) fn ring<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(head) = look.path(object, &["_M_impl", "_M_node"])? else {
        return Ok(None);
    };
    let Some(of) = element(look, object.of, "_Tp")? else {
        return Ok(None);
    };
    let Some(next) = look.member(&head, "_M_next")? else {
        return Ok(None);
    };
    let Some((first, _)) = look.pointer(&next)? else {
        return Ok(None);
    };
    let len = match look.member(&head, "_M_size")? {
        Some(size) => Some(look.word(&size)?),
        None => None,
    };
    let Some(end) = head.object.address() else {
        return Err(Absent::unsupported("a list that is not in memory"));
    };
    let offset = in_node(look, of)?;
    Ok(Some(Contents::Sequence {
        len,
        walk: Box::new(Chain::new(Some(of), offset, 0, first, end)),
    }))
}

/// Whether the lists of a unit count their elements: they do in the newer of the library's two
/// ABIs, which is the one with that namespace.
pub(super) fn counts(look: &Look<'_, '_>, iterator: &Typed) -> Result<bool> {
    let Some(at) = iterator.of else {
        return Ok(false);
    };
    look.declares(at.unit, &["std", "__cxx11"])
}

/// Where a list's node has its element: behind `_M_next` and `_M_prev`.
pub(super) fn in_node(look: &Look<'_, '_>, of: DieRef) -> Result<u64> {
    Ok(16u64.next_multiple_of(alignment(look, Some(of))?))
}

/// `forward_list`, which ends with a null.
pub(super) fn chain<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(next) = look.path(object, &["_M_impl", "_M_head", "_M_next"])? else {
        return Ok(None);
    };
    let (Some(of), Some((first, _))) = (element(look, object.of, "_Tp")?, look.pointer(&next)?)
    else {
        return Ok(None);
    };
    let offset = in_forward_node(look, of)?;
    Ok(Some(Contents::Sequence {
        len: None,
        walk: Box::new(Chain::new(Some(of), offset, 0, first, 0)),
    }))
}

/// The same of a `forward_list`, and of what is hashed: behind one pointer.
pub(super) fn in_forward_node(look: &Look<'_, '_>, of: DieRef) -> Result<u64> {
    Ok(8u64.next_multiple_of(alignment(look, Some(of))?))
}
