use super::limits::Limits;
use super::object::Object;
use super::tree::{Absent, Reason, Value};
use crate::target::Target;
use crate::text::readable;

/// How much of a text is read at once: what lies behind its end may not be readable.
const CHUNK: u64 = 64;

/// Text up to its NUL, at most the limit.
pub(super) fn up_to_nul(
    target: &Target<'_>,
    object: &Object,
    room: Option<u64>,
    limits: &Limits,
    value: Value,
) -> Value {
    let limit = room.unwrap_or(u64::MAX).min(limits.text as u64);
    let mut text = Vec::new();
    let mut done = 0;
    while done < limit {
        // To the next multiple, so that a page without memory behind the text costs nothing.
        let begin = object.address().unwrap_or(0).wrapping_add(done);
        let len = (CHUNK - begin % CHUNK).min(limit - done);
        let mut bytes = vec![0; usize::try_from(len).expect("at most a chunk")];
        if let Err(absent) = object.at(done).read(target, &mut bytes) {
            let value = match text.is_empty() {
                true => value,
                false => value.with(readable(&text, true)),
            };
            return value.without(absent);
        }
        if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
            text.extend_from_slice(&bytes[..end]);
            return value.with(readable(&text, false));
        }
        text.extend_from_slice(&bytes);
        done += len;
    }
    // A `char[4]` may be full.
    if room == Some(limit) {
        return value.with(readable(&text, false));
    }
    let cut = value.with(readable(&text, true));
    let detail = match room {
        Some(room) => format!("first {limit} of {room}"),
        None => format!("first {limit} bytes"),
    };
    cut.without(Absent::new(Reason::Length, detail))
}

/// Text of a known length.
pub(super) fn counted(
    target: &Target<'_>,
    object: &Object,
    len: u64,
    limits: &Limits,
    value: Value,
) -> Value {
    let shown = len.min(limits.text as u64);
    let mut bytes = vec![0; usize::try_from(shown).expect("at most the limit")];
    if let Err(absent) = object.read(target, &mut bytes) {
        return value.without(absent);
    }
    let value = value.with(readable(&bytes, shown < len));
    match shown < len {
        true => {
            let detail = format!("first {shown} of {len}");
            value.without(Absent::new(Reason::Length, detail))
        }
        false => value,
    }
}

/// A character as it stands between quotes in its language.
pub(super) fn character(code: u32) -> String {
    match char::from_u32(code) {
        Some('\0') => "\\0".to_owned(),
        Some('\\') => "\\\\".to_owned(),
        Some(c) if c.is_ascii() && c.is_control() => c.escape_default().to_string(),
        Some(c) => c.to_string(),
        None => format!("\\u{{{code:x}}}"),
    }
}
