use super::limits::Limits;
use super::object::Object;
use super::shape::Shape;
use super::tree::{Absent, Reason, Value};
use crate::target::Target;
use crate::text::readable;

/// How much of a text is read at once: what lies behind its end may not be readable.
const CHUNK: u64 = 64;

/// What a text is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// `char`, `char8_t`: UTF-8 by convention.
    Byte,
    Utf16,
    Utf32,
}

impl Unit {
    fn bytes(self) -> usize {
        match self {
            Unit::Byte => 1,
            Unit::Utf16 => 2,
            Unit::Utf32 => 4,
        }
    }

    pub(super) fn bits(self) -> u64 {
        self.bytes() as u64 * 8
    }

    fn readable(self, bytes: &[u8], cut: bool) -> String {
        let mut text = String::new();
        match self {
            Unit::Byte => return readable(bytes, cut),
            Unit::Utf16 => {
                let (units, _) = bytes.as_chunks::<2>();
                let units = units.iter().map(|&unit| u16::from_le_bytes(unit));
                let mut letters = char::decode_utf16(units).peekable();
                while let Some(letter) = letters.next() {
                    match letter {
                        Ok(letter) => text.push(letter),
                        // The cut went through it.
                        Err(_) if cut && letters.peek().is_none() => {}
                        Err(lone) => text.push_str(&unknown(lone.unpaired_surrogate().into())),
                    }
                }
            }
            Unit::Utf32 => {
                let (units, _) = bytes.as_chunks::<4>();
                for &unit in units {
                    let code = u32::from_le_bytes(unit);
                    match char::from_u32(code) {
                        Some(letter) => text.push(letter),
                        None => text.push_str(&unknown(code)),
                    }
                }
            }
        }
        if cut {
            text.push('…');
        }
        text
    }
}

/// What arrays of a type, and pointers to it, are text of. Rust's `char` is none: its texts are
/// others.
pub(super) fn unit(shape: &Shape) -> Option<Unit> {
    let Shape::Base {
        encoding,
        bytes,
        name,
        ..
    } = shape
    else {
        return None;
    };
    match (*encoding, bytes) {
        (gimli::DW_ATE_signed_char | gimli::DW_ATE_unsigned_char, 1) if name == "char" => {
            Some(Unit::Byte)
        }
        (gimli::DW_ATE_UTF, 1) => Some(Unit::Byte),
        (gimli::DW_ATE_UTF, 2) => Some(Unit::Utf16),
        (gimli::DW_ATE_UTF, 4) if name != "char" => Some(Unit::Utf32),
        _ => None,
    }
}

/// Text up to its NUL, at most the limit; `room` is how many units there are.
pub(super) fn up_to_nul(
    target: &Target<'_>,
    object: &Object,
    unit: Unit,
    room: Option<u64>,
    limits: &Limits,
    value: Value,
) -> Value {
    let width = unit.bytes();
    let most = (limits.text / width) as u64;
    let limit = room.unwrap_or(u64::MAX).min(most);
    let end = limit * width as u64;
    let mut text: Vec<u8> = Vec::new();
    let mut whole = 0;
    while (text.len() as u64) < end {
        let done = text.len() as u64;
        // To the next multiple, so that a page without memory behind the text costs nothing.
        let begin = object.address().unwrap_or(0).wrapping_add(done);
        let len = (CHUNK - begin % CHUNK).min(end - done);
        let mut bytes = vec![0; usize::try_from(len).expect("at most a chunk")];
        if let Err(absent) = object.at(done).read(target, &mut bytes) {
            let value = match text.is_empty() {
                true => value,
                false => value.with(unit.readable(&text, true)),
            };
            return value.without(absent);
        }
        text.extend_from_slice(&bytes);
        while whole + width <= text.len() {
            if text[whole..whole + width].iter().all(|&byte| byte == 0) {
                return value.with(unit.readable(&text[..whole], false));
            }
            whole += width;
        }
    }
    // A `char[4]` may be full.
    if room == Some(limit) {
        return value.with(unit.readable(&text, false));
    }
    let cut = value.with(unit.readable(&text, true));
    let detail = match (room, unit) {
        (Some(room), _) => format!("first {limit} of {room}"),
        (None, Unit::Byte) => format!("first {limit} bytes"),
        (None, _) => format!("first {limit} characters"),
    };
    cut.without(Absent::new(Reason::Length, detail))
}

/// The bytes of a text up to its NUL; `None` where there is none within so many.
pub(super) fn bytes_up_to_nul(target: &Target<'_>, address: u64, most: usize) -> Option<Vec<u8>> {
    let mut text: Vec<u8> = Vec::new();
    while text.len() < most {
        let begin = address.checked_add(text.len() as u64)?;
        let len = usize::try_from(CHUNK - begin % CHUNK).expect("at most a chunk");
        let mut bytes = vec![0; len];
        target.read(begin, &mut bytes).ok()?;
        if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
            text.extend_from_slice(&bytes[..end]);
            return Some(text);
        }
        text.extend_from_slice(&bytes);
    }
    None
}

/// Text of a known length, in units.
pub(super) fn counted(
    target: &Target<'_>,
    object: &Object,
    unit: Unit,
    len: u64,
    limits: &Limits,
    value: Value,
) -> Value {
    let width = unit.bytes();
    let shown = len.min((limits.text / width) as u64);
    let mut bytes = vec![0; usize::try_from(shown).expect("at most the limit") * width];
    if let Err(absent) = object.read(target, &mut bytes) {
        return value.without(absent);
    }
    let value = value.with(unit.readable(&bytes, shown < len));
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
        None => unknown(code),
    }
}

/// A number that is no character.
fn unknown(code: u32) -> String {
    format!("\\u{{{code:x}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_text() {
        let utf16: Vec<u8> = [0x68, 0xe9, 0xd83d, 0xde00, 0xd800, 0x69, 0xd83d]
            .iter()
            .flat_map(|unit: &u16| unit.to_le_bytes())
            .collect();
        let read = |cut| Unit::Utf16.readable(&utf16, cut);
        assert_eq!(read(false), "hé😀\\u{d800}i\\u{d83d}");
        assert_eq!(read(true), "hé😀\\u{d800}i…");
        let utf32: Vec<u8> = [0x68, 0x1f600, 0x11_0000, u32::MAX]
            .iter()
            .flat_map(|unit: &u32| unit.to_le_bytes())
            .collect();
        let expected = "h😀\\u{110000}\\u{ffffffff}";
        assert_eq!(Unit::Utf32.readable(&utf32, false), expected);
    }
}
