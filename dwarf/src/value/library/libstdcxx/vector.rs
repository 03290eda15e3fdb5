use super::super::cpp::{self, Bits, MAX_ELEMENTS, between, broken, element, is_place};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::tree::{Kind, Reason};

/// `vector`, that of bits too.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(start), Some(finish)) = (
        look.path(object, &["_M_impl", "_M_start"])?,
        look.path(object, &["_M_impl", "_M_finish"])?,
    ) else {
        return Ok(None);
    };
    if look.member(&start, "_M_offset")?.is_some() {
        return bits(look, object, &start, &finish);
    }
    let room = look.path(object, &["_M_impl", "_M_end_of_storage"])?;
    between(look, &start, &finish, room.as_ref())
}

/// Bits between two places of words and bits in them.
fn bits<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    start: &Typed,
    finish: &Typed,
) -> Result<Option<Contents<'a>>> {
    let place = |at: &Typed| -> Result<Option<(u64, u64)>> {
        let (Some(word), Some(offset)) = (look.member(at, "_M_p")?, look.member(at, "_M_offset")?)
        else {
            return Ok(None);
        };
        let address = look.pointer(&word)?.map(|(address, _)| address);
        Ok(address.zip(Some(look.word(&offset)?)))
    };
    let (Some((begin, first)), Some((end, behind))) = (place(start)?, place(finish)?) else {
        return Ok(None);
    };
    if !is_place(begin, 8) {
        let detail = "its begin is not the address of a word";
        return Ok(Some(broken(Kind::Sequence, Reason::Size, detail)));
    }
    let bits = end.checked_sub(begin).and_then(|bytes| {
        let bits = bytes.checked_mul(8)?.checked_add(behind)?;
        bits.checked_sub(first)
    });
    let Some(left) = bits.filter(|bits| *bits <= MAX_ELEMENTS) else {
        let detail = "its end is before its begin, or further than memory goes";
        return Ok(Some(broken(Kind::Sequence, Reason::Size, detail)));
    };
    Ok(Some(Contents::Sequence {
        len: Some(left),
        walk: Box::new(Bits {
            of: element(look, object.of, "_Tp")?,
            at: begin,
            bit: first,
            left,
        }),
    }))
}

pub(super) fn bitset<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    cpp::bitset(look, object, "_Nb", look.member(object, "_M_w")?)
}
