use std::borrow::Cow;
use std::fmt::Write;

/// Text from a target or a server as it may be shown: control and bidirectional characters are
/// written as escapes, so that they can neither drive a terminal nor reorder a line.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_unsafe(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// JSON that means the same without those characters: they can only stand inside strings there,
/// where `\u` escapes are allowed (RFC 8259, 7).
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            // Every one of them is in the basic plane.
            c if is_unsafe(c) => {
                let _ = write!(shown, "\\u{:04x}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Controls (C0, DEL, C1), line separators, and the marks, embeddings, overrides and isolates of
/// the bidirectional algorithm (UAX #9, 2).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(escaped(text), expected);
    }

    #[test]
    fn ordinary_text_stays() {
        for text in ["", "id=1 name=Amália", "日本語", "🦀 a\\n", "שלום"] {
            check(text, text);
        }
    }

    #[test]
    fn what_drives_a_terminal_is_written_out() {
        check("\x1b]0;pwned\x07", "\\u{1b}]0;pwned\\u{7}");
        check("a\u{9b}31mb\x7f", "a\\u{9b}31mb\\u{7f}");
        check("one\ntwo\r\tthree\0", "one\\ntwo\\r\\tthree\\u{0}");
    }

    #[test]
    fn what_reorders_a_line_is_written_out() {
        check(
            "a\u{202e}b\u{2066}c\u{200f}",
            "a\\u{202e}b\\u{2066}c\\u{200f}",
        );
        check("a\u{2028}b\u{61c}", "a\\u{2028}b\\u{61c}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({"m": "a\u{202e}b\u{9b}\u{7f}\n", "n": "日本"});
        let json = value.to_string();
        let shown = escaped_json(&json);
        assert!(!shown.contains(is_unsafe));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
