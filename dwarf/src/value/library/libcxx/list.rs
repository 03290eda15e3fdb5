use super::super::cpp::{Chain, alignment, element};
use super::super::{Contents, Look, Typed};
use super::member;
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::tree::Absent;

/// `list`: nodes in a ring through one in the object; each has the one before it first.
pub(super) fn ring<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(head), Some(size)) = (
        look.member(object, "__end_")?,
        member(look, object, "__size_alloc_", "__size_")?,
    ) else {
        return Ok(None);
    };
    let (Some(next), Some(of)) = (
        look.member(&head, "__next_")?,
        element(look, object.of, "_Tp")?,
    ) else {
        return Ok(None);
    };
    let Some((first, _)) = look.pointer(&next)? else {
        return Ok(None);
    };
    let Some(end) = head.object.address() else {
        return Err(Absent::unsupported("a list that is not in memory"));
    };
    let offset = in_node(look, of)?;
    Ok(Some(Contents::Sequence {
        len: Some(look.word(&size)?),
        walk: Box::new(Chain::new(Some(of), offset, 8, first, end)),
    }))
}

/// Where a list's node has its element: behind `__prev_` and `__next_`.
pub(super) fn in_node(look: &Look<'_, '_>, of: DieRef) -> Result<u64> {
    Ok(16u64.next_multiple_of(alignment(look, Some(of))?))
}

/// `forward_list`, which ends with a null.
pub(super) fn chain<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(head) = member(look, object, "__before_begin_", "__before_begin_")? else {
        return Ok(None);
    };
    let (Some(next), Some(of)) = (
        look.member(&head, "__next_")?,
        element(look, object.of, "_Tp")?,
    ) else {
        return Ok(None);
    };
    let Some((first, _)) = look.pointer(&next)? else {
        return Ok(None);
    };
    let offset = in_forward_node(look, of)?;
    Ok(Some(Contents::Sequence {
        len: None,
        walk: Box::new(Chain::new(Some(of), offset, 0, first, 0)),
    }))
}

/// The same of a `forward_list`: behind one pointer.
pub(super) fn in_forward_node(look: &Look<'_, '_>, of: DieRef) -> Result<u64> {
    Ok(8u64.next_multiple_of(alignment(look, Some(of))?))
}
