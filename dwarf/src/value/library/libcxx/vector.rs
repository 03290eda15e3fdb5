use super::super::cpp::{self, Bits, MAX_ELEMENTS, between, broken, element, is_place};
use super::super::{Contents, Look, Typed};
use super::member;
use crate::value::evaluate::Result;
use crate::value::tree::{Kind, Reason};

/// `vector`, that of bits too.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(begin) = look.member(object, "__begin_")? else {
        return Ok(None);
    };
    if let Some(end) = look.member(object, "__end_")? {
        let room = member(look, object, "__end_cap_", "__cap_")?;
        return between(look, &begin, &end, room.as_ref());
    }
    let (Some(size), Some((at, _))) = (
        member(look, object, "__size_", "__size_")?,
        look.pointer(&begin)?,
    ) else {
        return Ok(None);
    };
    let left = look.word(&size)?;
    if !is_place(at, 8) {
        let detail = "its begin is not the address of a word";
        return Ok(Some(broken(Kind::Sequence, Reason::Size, detail)));
    }
    if left > MAX_ELEMENTS {
        let detail = format!("its length is {left}, which no memory holds");
        return Ok(Some(broken(Kind::Sequence, Reason::Size, detail)));
    }
    Ok(Some(Contents::Sequence {
        len: Some(left),
        walk: Box::new(Bits {
            of: element(look, object.of, "_Tp")?,
            at,
            bit: 0,
            left,
        }),
    }))
}

pub(super) fn bitset<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    cpp::bitset(look, object, "_Size", look.member(object, "__first_")?)
}
