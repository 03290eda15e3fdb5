use super::SyntaxError;

/// A position in a text.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }

    pub(crate) fn column(&self) -> usize {
        self.at
    }

    pub(crate) fn back_to(&mut self, column: usize) {
        self.at = column;
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(crate) fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    /// Takes `sign` if it comes next, white space before it aside.
    pub(crate) fn take(&mut self, sign: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// Whether `sign` comes next, white space before it aside.
    pub(crate) fn next_is(&mut self, sign: &str) -> bool {
        self.skip_space();
        self.rest().starts_with(sign)
    }

    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
        self.since(start)
    }

    /// The identifier that comes next, white space before it aside.
    pub(crate) fn identifier(&mut self) -> Option<&'a str> {
        self.skip_space();
        let first = self.peek()?;
        if !first.is_alphabetic() && first != '_' {
            return None;
        }
        Some(self.take_while(is_identifier))
    }

    /// Takes the keyword `word` if it comes next.
    pub(crate) fn keyword(&mut self, word: &str) -> bool {
        let start = self.at;
        let found = self.identifier() == Some(word);
        if !found {
            self.at = start;
        }
        found
    }

    pub(crate) fn error(&self, expected: &str) -> SyntaxError {
        self.error_at(self.at, expected)
    }

    pub(crate) fn error_at(&self, column: usize, expected: &str) -> SyntaxError {
        let rest = self.text[column..].trim_start();
        let column = self.text.len() - rest.len();
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some(first) if is_identifier(first) => {
                let word: String = rest
                    .chars()
                    .take_while(|&c| is_identifier(c))
                    .take(40)
                    .collect();
                format!("`{word}`")
            }
            Some(first) => format!("`{first}`"),
        };
        SyntaxError {
            column,
            expected: expected.to_owned(),
            found,
        }
    }
}

pub(crate) fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
