use super::SyntaxError;
use super::ast::{Kind, Precision, Suffix};
use super::cursor::{Cursor, is_identifier};

/// Reads a number; the cursor is at a digit.
pub(crate) fn number(cursor: &mut Cursor<'_>) -> Result<Kind, SyntaxError> {
    let start = cursor.column();
    let radix = match cursor.rest().get(..2) {
        Some("0x" | "0X") => 16,
        Some("0b" | "0B") => 2,
        Some("0o") => 8,
        _ => 10,
    };
    if radix != 10 {
        cursor.next();
        cursor.next();
    }
    let digits = digits(cursor, radix);
    if digits.is_empty() {
        return Err(cursor.error_at(start, "digits"));
    }
    if radix == 10 && is_float(cursor) {
        return float(cursor, start);
    }
    let c_octal = radix == 10 && digits.len() > 1 && digits.starts_with('0');
    if c_octal {
        // 010 is eight in C and ten in Rust.
        return Err(cursor.error_at(start, "a number without a leading zero, or 0o for octal"));
    }
    let value = u64::from_str_radix(&digits, radix)
        .map_err(|_| cursor.error_at(start, "a number below 2^64"))?;
    let suffix_at = cursor.column();
    let word = cursor.take_while(is_identifier);
    if matches!(word, "f32" | "f64") && radix == 10 {
        let literal = of_precision(&digits, word);
        return literal.ok_or_else(|| cursor.error_at(start, "a number"));
    }
    match suffix(word) {
        Some(suffix) => Ok(Kind::Int { value, suffix }),
        None => Err(cursor.error_at(suffix_at, "an operator behind the number")),
    }
}

fn digits(cursor: &mut Cursor<'_>, radix: u32) -> String {
    cursor
        .take_while(|c| c.is_digit(radix) || c == '_')
        .chars()
        .filter(|&c| c != '_')
        .collect()
}

/// Whether the number goes on as one with a point or an exponent.
fn is_float(cursor: &Cursor<'_>) -> bool {
    let mut rest = cursor.rest().chars();
    match rest.next() {
        Some('.') => rest.next().is_some_and(|c| c.is_ascii_digit()),
        Some('e' | 'E') => {
            let next = rest.next();
            next.is_some_and(|c| c.is_ascii_digit())
                || matches!(next, Some('+' | '-'))
                    && rest.next().is_some_and(|c| c.is_ascii_digit())
        }
        _ => false,
    }
}

fn float(cursor: &mut Cursor<'_>, start: usize) -> Result<Kind, SyntaxError> {
    if cursor.peek() == Some('.') {
        cursor.next();
        digits(cursor, 10);
    }
    if matches!(cursor.peek(), Some('e' | 'E')) && is_float(cursor) {
        cursor.next();
        if matches!(cursor.peek(), Some('+' | '-')) {
            cursor.next();
        }
        digits(cursor, 10);
    }
    let text: String = cursor.since(start).chars().filter(|&c| c != '_').collect();
    let suffix_at = cursor.column();
    match cursor.take_while(is_identifier) {
        word @ ("" | "f" | "F" | "f32" | "f64") => {
            of_precision(&text, word).ok_or_else(|| cursor.error_at(start, "a number"))
        }
        _ => Err(cursor.error_at(suffix_at, "an operator behind the number")),
    }
}

fn of_precision(digits: &str, suffix: &str) -> Option<Kind> {
    Some(match suffix {
        // Not by way of a double, which would round twice.
        "f" | "F" | "f32" => Kind::Float(f64::from(digits.parse::<f32>().ok()?), Precision::Single),
        "f64" => Kind::Float(digits.parse().ok()?, Precision::Double),
        _ => Kind::Float(digits.parse().ok()?, Precision::Unsaid),
    })
}

fn suffix(word: &str) -> Option<Suffix> {
    let rust = |bytes, signed| Some(Suffix::Rust { bytes, signed });
    match word {
        "" => Some(Suffix::None),
        "i8" => rust(1, true),
        "i16" => rust(2, true),
        "i32" => rust(4, true),
        "i64" | "isize" => rust(8, true),
        "u8" => rust(1, false),
        "u16" => rust(2, false),
        "u32" => rust(4, false),
        "u64" | "usize" => rust(8, false),
        _ => {
            let lower = word.to_ascii_lowercase();
            let (unsigned, long) = match lower.as_str() {
                "u" => (true, false),
                "l" | "ll" => (false, true),
                "ul" | "ull" | "lu" | "llu" => (true, true),
                _ => return None,
            };
            Some(Suffix::C { unsigned, long })
        }
    }
}

/// Reads `"…"`; the cursor is at the quote.
pub(crate) fn string(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, SyntaxError> {
    let start = cursor.column();
    cursor.next();
    let mut bytes = Vec::new();
    loop {
        match cursor.next() {
            None => return Err(cursor.error_at(start, "a closing quote")),
            Some('"') => return Ok(bytes),
            Some('\\') => escape(cursor, &mut bytes)?,
            Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Reads `'…'`; the cursor is at the quote.
pub(crate) fn character(cursor: &mut Cursor<'_>) -> Result<char, SyntaxError> {
    let start = cursor.column();
    cursor.next();
    let mut bytes = Vec::new();
    match cursor.next() {
        Some('\\') => escape(cursor, &mut bytes)?,
        Some(c) if c != '\'' => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        _ => return Err(cursor.error_at(start, "a character between quotes")),
    }
    if cursor.next() != Some('\'') {
        return Err(cursor.error_at(start, "one character between quotes"));
    }
    let decoded = match (&*bytes, std::str::from_utf8(&bytes)) {
        (_, Ok(text)) => text.chars().next(),
        ([byte], _) => Some(char::from(*byte)),
        _ => None,
    };
    decoded.ok_or_else(|| cursor.error_at(start, "one character between quotes"))
}

fn escape(cursor: &mut Cursor<'_>, bytes: &mut Vec<u8>) -> Result<(), SyntaxError> {
    let start = cursor.column();
    let wrong =
        |cursor: &Cursor<'_>| cursor.error_at(start, "an escape like \\n, \\\", \\x41 or \\u{e9}");
    let byte = match cursor.next() {
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('r') => b'\r',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('"') => b'"',
        Some('\'') => b'\'',
        Some('x') => {
            let digits: String = cursor.rest().chars().take(2).collect();
            let value = u8::from_str_radix(&digits, 16).map_err(|_| wrong(cursor))?;
            for _ in 0..digits.chars().count() {
                cursor.next();
            }
            value
        }
        Some('u') if cursor.peek() == Some('{') => {
            cursor.next();
            let digits = cursor.take_while(|c| c.is_ascii_hexdigit());
            let value = u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32);
            let (Some(value), Some('}')) = (value, cursor.next()) else {
                return Err(wrong(cursor));
            };
            bytes.extend_from_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        _ => return Err(wrong(cursor)),
    };
    bytes.push(byte);
    Ok(())
}
