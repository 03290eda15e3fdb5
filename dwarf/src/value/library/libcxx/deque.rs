use super::super::cpp::{MAX_ELEMENTS, broken, element};
use super::super::{Contents, Look, Typed, Walk};
use super::member;
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Kind, Reason};

/// What a block has room for, of `__deque_block_size`: 4096 bytes, or 16 large elements.
const BLOCK: u64 = 4096;
const LARGE: u64 = 256;
const FEW: u64 = 16;

/// Elements in blocks of equal size, the addresses of which stand in an array.
struct Blocks {
    of: Option<DieRef>,
    stride: u64,
    /// Where the address of the first block stands.
    map: u64,
    per_block: u64,
    /// Of the next element, counted from the begin of the first block.
    index: u64,
    /// The block that the last element was in.
    block: Option<u64>,
    left: u64,
}

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(begin), Some(end), Some(start), Some(size)) = (
        look.path(object, &["__map_", "__begin_"])?,
        look.path(object, &["__map_", "__end_"])?,
        look.member(object, "__start_")?,
        member(look, object, "__size_", "__size_")?,
    ) else {
        return Ok(None);
    };
    let (Some((map, _)), Some((map_end, _)), Some(of)) = (
        look.pointer(&begin)?,
        look.pointer(&end)?,
        element(look, object.of, "_Tp")?,
    ) else {
        return Ok(None);
    };
    let stride = look.size(Some(of))?.filter(|stride| *stride > 0);
    let stride = stride.ok_or_else(|| Absent::unsupported("elements of unknown size"))?;
    let per_block = match stride < LARGE {
        true => BLOCK / stride,
        false => FEW,
    };
    let (index, left) = (look.word(&start)?, look.word(&size)?);
    let blocks = map_end.checked_sub(map).map(|bytes| bytes / 8);
    let room = blocks.and_then(|blocks| blocks.checked_mul(per_block));
    let needed = index.checked_add(left);
    if left > MAX_ELEMENTS || room.zip(needed).is_none_or(|(room, needed)| needed > room) {
        let detail = format!("its length is {left}, which its blocks do not hold");
        return Ok(Some(broken(Kind::Sequence, Reason::Size, detail)));
    }
    Ok(Some(Contents::Sequence {
        len: Some(left),
        walk: Box::new(Blocks {
            of: Some(of),
            stride,
            map,
            per_block,
            index,
            block: None,
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
        let (node, within) = (self.index / self.per_block, self.index % self.per_block);
        let block = match self.block {
            Some(block) if within > 0 => block,
            _ => {
                let slot = Object::Memory(self.map.wrapping_add(node * 8));
                u64::from_le_bytes(slot.array(look.target)?)
            }
        };
        self.block = Some(block);
        self.index += 1;
        self.left = left;
        Ok(Some(Typed {
            of: self.of,
            object: Object::Memory(block.wrapping_add(within * self.stride)),
        }))
    }
}
