use super::super::cpp::{MAX_ELEMENTS, alignment, broken, is_place};
use super::super::{Contents, Look, Typed, Walk};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind, Reason};

/// Elements in blocks of equal size, the addresses of which stand in an array.
struct Blocks {
    of: Option<DieRef>,
    stride: u64,
    /// Where the block's address stands.
    node: u64,
    at: u64,
    /// The end of the block.
    last: u64,
    /// The bytes of a block.
    block: u64,
    left: u64,
}

/// `deque`: iterators to its first element and behind its last one.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(start), Some(finish)) = (
        look.path(object, &["_M_impl", "_M_start"])?,
        look.path(object, &["_M_impl", "_M_finish"])?,
    ) else {
        return Ok(None);
    };
    let place = |iterator: &Typed, name: &str| -> Result<Option<(u64, Option<DieRef>)>> {
        match look.member(iterator, name)? {
            Some(member) => look.pointer(&member),
            None => Ok(None),
        }
    };
    let (Some((at, of)), Some((first, _)), Some((last, _)), Some((node, _))) = (
        place(&start, "_M_cur")?,
        place(&start, "_M_first")?,
        place(&start, "_M_last")?,
        place(&start, "_M_node")?,
    ) else {
        return Ok(None);
    };
    let (Some((end, _)), Some((end_first, _)), Some((end_node, _))) = (
        place(&finish, "_M_cur")?,
        place(&finish, "_M_first")?,
        place(&finish, "_M_node")?,
    ) else {
        return Ok(None);
    };
    let stride = look.size(of)?.filter(|stride| *stride > 0);
    let stride = stride.ok_or_else(|| Absent::unsupported("elements of unknown size"))?;
    let alignment = alignment(look, of)?;
    let len = || -> Option<u64> {
        let block = last.checked_sub(first)?;
        let blocks = end_node.checked_sub(node)? / 8;
        // Bytes from the first block's begin to the end, without those before the first element.
        let bytes = blocks
            .checked_mul(block)?
            .checked_add(end.checked_sub(end_first)?)?;
        let bytes = bytes.checked_sub(at.checked_sub(first)?)?;
        let is_whole = block.is_multiple_of(stride) && bytes.is_multiple_of(stride);
        let len = bytes / stride;
        let is_place = is_place(first, alignment) && is_place(node, 8);
        (at <= last && is_place && is_whole && len <= MAX_ELEMENTS && (block > 0 || len == 0))
            .then_some(len)
    };
    let Some(left) = len() else {
        let detail = "its begin and end do not go together";
        return Ok(Some(broken(Kind::Sequence, Reason::Size, detail)));
    };
    Ok(Some(Contents::Sequence {
        len: Some(left),
        walk: Box::new(Blocks {
            of,
            stride,
            node,
            at,
            last,
            block: last.wrapping_sub(first),
            left,
        }),
    }))
}

impl<'a> Walk<'a> for Blocks {
    type Item = Typed;

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<Typed>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        if self.at == self.last {
            self.node = self.node.wrapping_add(8);
            self.at = u64::from_le_bytes(Object::Memory(self.node).array(look.target)?);
            self.last = self.at.wrapping_add(self.block);
        }
        let object = Object::Memory(self.at);
        self.at = self.at.wrapping_add(self.stride);
        self.left = left;
        Ok(Some(Typed {
            of: self.of,
            object,
        }))
    }
}
