use std::fmt;

use hyper::header::HeaderValue;

/// What a client proves its right with; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(HeaderValue);

impl Token {
    /// Takes the token from `LR_TOKEN`, the only place that it comes from: arguments can be read by
    /// every user of a machine. The error is a line for people.
    pub fn from_env() -> Result<Option<Token>, String> {
        match std::env::var("LR_TOKEN") {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Token::new(&text).map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err("LR_TOKEN is not text".into()),
        }
    }

    /// Spaces and line ends around it are dropped.
    pub fn new(text: &str) -> Result<Token, String> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
            .map_err(|_| "the token has characters in it that cannot be sent".to_string())?;
        value.set_sensitive(true);
        Ok(Token(value))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::new("secret\n").unwrap();
        assert!(!format!("{token:?} {:?}", token.header()).contains("secret"));
        assert_eq!(token.header().as_bytes(), b"Bearer secret");
    }

    #[test]
    fn a_line_end_inside_is_refused_without_repeating_it() {
        assert!(!Token::new("secret\r\nx: y").unwrap_err().contains("secret"));
    }
}
