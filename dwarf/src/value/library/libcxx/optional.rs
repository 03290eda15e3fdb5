use super::super::cpp::broken;
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::tree::{Kind, Reason};

pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(engaged), Some(value)) = (
        look.member(object, "__engaged_")?,
        look.member(object, "__val_")?,
    ) else {
        return Ok(None);
    };
    Ok(Some(match look.word(&engaged)? {
        0 => Contents::Optional(None),
        1 => Contents::Optional(Some(value)),
        other => {
            let detail = format!("whether it has a value is told by {other}");
            broken(Kind::Optional, Reason::Size, detail)
        }
    }))
}
