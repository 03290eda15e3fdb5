use super::vec::Span;
use super::{Contents, Look, Typed, newtype};
use crate::value::evaluate::Result;
use crate::value::tree::{Absent, Kind, Reason};

/// What an iterator over a slice or a vector still has to give.
pub(super) fn contents<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    path: &str,
) -> Result<Option<Contents<'a>>> {
    let of_slice = path.starts_with("core::slice::iter::");
    let of_vec = path == "alloc::vec::into_iter::IntoIter";
    if !of_slice && !of_vec {
        return Ok(None);
    }
    let (Some(of), Some(ptr)) = (look.parameter(object.of, "T")?, look.member(object, "ptr")?)
    else {
        return Ok(None);
    };
    let end = match look.member(object, "end_or_len")? {
        Some(end) => Some(end),
        None => look.member(object, "end")?,
    };
    let Some(end) = end else { return Ok(None) };
    let (Some((ptr, _)), Some((end, _))) =
        (newtype::pointer(look, &ptr)?, newtype::pointer(look, &end)?)
    else {
        return Ok(None);
    };
    let bytes = end.wrapping_sub(ptr);
    let kind = Kind::Sequence;
    // Both are `NonNull`, but where the end is a count.
    if ptr == 0 {
        let why = Absent::new(Reason::Size, "it begins at address 0");
        return Ok(Some(Contents::Broken { kind, why }));
    }
    let len = match look.size(Some(of))? {
        // What has no size is counted in the end itself, from the beginning or from zero.
        Some(0) if of_slice => end,
        Some(0) => bytes,
        Some(size) if end < ptr || bytes % size != 0 => {
            let why = format!("it begins at {ptr:#x} and ends at {end:#x}");
            let why = Absent::new(Reason::Size, why);
            return Ok(Some(Contents::Broken { kind, why }));
        }
        Some(size) => bytes / size,
        None => return Ok(None),
    };
    let span = Span {
        address: ptr,
        len,
        wrong: None,
    };
    span.sequence(look, Some(of)).map(Some)
}
