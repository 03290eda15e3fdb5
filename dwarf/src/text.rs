//! Text of a target as text of ours.

/// Bytes as text: what is not UTF-8 becomes `\xNN`, and a string that was cut ends in `…`. A
/// character that the cut went through is left out.
pub(crate) fn readable(bytes: &[u8], cut: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let halved = cut && chunks.peek().is_none() && is_beginning(chunk.invalid());
        for byte in chunk.invalid().iter().filter(|_| !halved) {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if cut {
        text.push('…');
    }
    text
}

/// Whether bytes are a character that lacks its end.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Text between quotes, with escapes.
pub(crate) fn quoted(text: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            // The mark of a cut, and escapes of bytes, are ours and stay as they are.
            '\\' => out.push(c),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_escaped() {
        assert_eq!(readable(b"abc", false), "abc");
        assert_eq!(readable(b"a\xffb\xc3", false), "a\\xffb\\xc3");
        assert_eq!(readable("grün".as_bytes(), false), "grün");
    }

    #[test]
    fn a_cut_says_so_and_halves_no_character() {
        assert_eq!(readable(b"abc", true), "abc…");
        assert_eq!(readable(&"grün".as_bytes()[..3], true), "gr…");
    }

    #[test]
    fn quotes_are_escaped() {
        assert_eq!(quoted("a\"b\n", '"'), "\"a\\\"b\\n\"");
    }
}
