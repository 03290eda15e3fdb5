use super::super::cpp::{any_path, broken};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::tree::{Kind, Reason};

/// `optional`; its payload has had fewer layers.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let engaged = any_path(
        look,
        object,
        &[&["_M_payload", "_M_engaged"], &["_M_engaged"]],
    )?;
    let value = any_path(
        look,
        object,
        &[
            &["_M_payload", "_M_payload", "_M_value"],
            &["_M_payload", "_M_payload"],
            &["_M_payload", "_M_value"],
            &["_M_payload"],
        ],
    )?;
    let (Some(engaged), Some(value)) = (engaged, value) else {
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
