use std::fmt;

/// Where a user wants something to happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// The shared object or executable it is in, by a suffix of its path; the executable if none.
    pub module: Option<String>,
    pub spot: Spot,
}

/// What is meant inside a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spot {
    /// `file:line[:column]`; the file is a suffix of a path, whole components.
    Line {
        file: String,
        line: u32,
        column: Option<u32>,
    },
    /// `function`, a suffix of its qualified name, optionally `+offset` in bytes from its entry.
    Function { name: String, offset: Option<u64> },
    /// `0xaddress`. [`crate::Binary::resolve`] takes it as an address in the file: a caller that
    /// was given an address of the target takes the load bias off first.
    Address(u64),
}

/// Why a text is not a location.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocationSyntax {
    /// Byte offset in the text, from 0.
    pub column: usize,
    pub expected: &'static str,
    pub found: String,
}

impl LocationSyntax {
    /// Always `bad_location`.
    pub fn code(&self) -> &'static str {
        "bad_location"
    }

    pub fn suggestions(&self) -> Vec<String> {
        ["file:line", "function", "function+offset", "0xaddress"]
            .map(|form| format!("write it as {form}, or module!{form}"))
            .to_vec()
    }
}

impl fmt::Display for LocationSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column + 1;
        write!(
            f,
            "expected {}, found {} at column {column} of the location",
            self.expected, self.found
        )
    }
}

impl std::error::Error for LocationSyntax {}

impl Location {
    /// Reads `file:line[:column]`, `function`, `function+offset`, `0xaddress`, or one of them
    /// behind `module!`.
    pub fn parse(text: &str) -> Result<Location, LocationSyntax> {
        let (module, rest) = split_module(text.trim_start());
        let rest = rest.trim_start();
        let start = text.len() - rest.len();
        let rest = rest.trim_end();
        if rest.is_empty() {
            return Err(syntax(start, "a file and line, or a function", "nothing"));
        }
        if rest.starts_with('!') {
            return Err(syntax(start, "the name of a module before `!`", "nothing"));
        }
        if let Some(digits) = rest.strip_prefix("0x").or(rest.strip_prefix("0X")) {
            let address = u64::from_str_radix(digits, 16)
                .map_err(|_| syntax(start, "a hexadecimal address", rest))?;
            return Ok(Location {
                module,
                spot: Spot::Address(address),
            });
        }
        let spot = match last_single_colon(rest) {
            Some(colon) => line_spot(rest, colon, start)?,
            None => function_spot(rest),
        };
        Ok(Location { module, spot })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(module) = &self.module {
            write!(f, "{module}!")?;
        }
        match &self.spot {
            Spot::Line { file, line, column } => {
                write!(f, "{file}:{line}")?;
                column.map_or(Ok(()), |column| write!(f, ":{column}"))
            }
            Spot::Function { name, offset } => {
                write!(f, "{name}")?;
                offset.map_or(Ok(()), |offset| write!(f, "+{offset:#x}"))
            }
            Spot::Address(address) => write!(f, "{address:#x}"),
        }
    }
}

fn syntax(column: usize, expected: &'static str, found: &str) -> LocationSyntax {
    let found = match found {
        "nothing" => found.to_owned(),
        text => format!("`{text}`"),
    };
    LocationSyntax {
        column,
        expected,
        found,
    }
}

fn split_module(text: &str) -> (Option<String>, &str) {
    match text.split_once('!') {
        // `Set::operator!` is a function.
        Some((module, rest)) if !module.is_empty() && !module.ends_with("operator") => {
            (Some(module.to_owned()), rest)
        }
        _ => (None, text),
    }
}

/// The last `:` that is not half of a `::` nor inside brackets.
fn last_single_colon(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    for (at, &byte) in bytes.iter().enumerate().rev() {
        match byte {
            b'>' | b')' | b'}' => depth += 1,
            b'<' | b'(' | b'{' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                let doubled = bytes.get(at + 1) == Some(&b':') || at > 0 && bytes[at - 1] == b':';
                if !doubled {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn line_spot(text: &str, colon: usize, start: usize) -> Result<Spot, LocationSyntax> {
    let number = |at: usize, digits: &str| match digits.parse::<u32>() {
        Ok(0) | Err(_) if digits.is_empty() => Err(syntax(start + at, "a line number", "nothing")),
        Ok(0) | Err(_) => Err(syntax(start + at, "a line number", digits)),
        Ok(number) => Ok(number),
    };
    let last = number(colon + 1, &text[colon + 1..])?;
    let (file, line, column) = match last_single_colon(&text[..colon]) {
        Some(first) if text[first + 1..colon].bytes().all(|b| b.is_ascii_digit()) => {
            let line = number(first + 1, &text[first + 1..colon])?;
            (&text[..first], line, Some(last))
        }
        _ => (&text[..colon], last, None),
    };
    if file.is_empty() {
        return Err(syntax(start, "a file name", "nothing"));
    }
    Ok(Spot::Line {
        file: file.to_owned(),
        line,
        column,
    })
}

fn function_spot(text: &str) -> Spot {
    let plain = Spot::Function {
        name: text.to_owned(),
        offset: None,
    };
    let Some((name, digits)) = text.rsplit_once('+') else {
        return plain;
    };
    let offset = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    // `operator+` ends in a plus, `a+b` names nothing that has code: both are taken as names.
    match offset {
        Ok(offset) if !name.is_empty() => Spot::Function {
            name: name.trim().to_owned(),
            offset: Some(offset),
        },
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(file: &str, line: u32, column: Option<u32>) -> Spot {
        Spot::Line {
            file: file.to_owned(),
            line,
            column,
        }
    }

    fn function(name: &str, offset: Option<u64>) -> Spot {
        Spot::Function {
            name: name.to_owned(),
            offset,
        }
    }

    fn check(text: &str, expected: Spot) {
        let location = Location::parse(text).unwrap();
        assert_eq!(location.spot, expected, "{text}");
        assert_eq!(location.module, None, "{text}");
    }

    fn check_error(text: &str, column: usize) {
        let error = Location::parse(text).unwrap_err();
        assert_eq!(error.column, column, "{text}: {error}");
    }

    #[test]
    fn lines() {
        check("orders.rs:42", line("orders.rs", 42, None));
        check("src/orders.rs:42:7", line("src/orders.rs", 42, Some(7)));
        check("/a b/c.c:1", line("/a b/c.c", 1, None));
        check("odd:name.c:3", line("odd:name.c", 3, None));
    }

    #[test]
    fn functions() {
        check("main", function("main", None));
        check("Store::put", function("Store::put", None));
        check("max<a::b>", function("max<a::b>", None));
        check("parse+16", function("parse", Some(16)));
        check("parse+0x10", function("parse", Some(16)));
        check(" parse+16 ", function("parse", Some(16)));
        check("Money::operator+", function("Money::operator+", None));
        check("Money::operator++", function("Money::operator++", None));
        check("Set::operator!", function("Set::operator!", None));
        check("f(a::b, int)", function("f(a::b, int)", None));
    }

    #[test]
    fn addresses_and_modules() {
        check("0x401000", Spot::Address(0x40_1000));
        check(" 0x401000\n", Spot::Address(0x40_1000));
        let location = Location::parse("libc.so.6!malloc").unwrap();
        assert_eq!(location.module.as_deref(), Some("libc.so.6"));
        assert_eq!(location.spot, function("malloc", None));
        assert_eq!(location.to_string(), "libc.so.6!malloc");
    }

    #[test]
    fn what_is_no_location_says_where() {
        check_error("", 0);
        check_error("lib.so!", 7);
        check_error("!main", 0);
        check_error(" !a.c:3", 1);
        check_error("a.c:", 4);
        check_error("a.c:x", 4);
        check_error("a.c:0", 4);
        check_error(":3", 0);
        check_error("0xzz", 0);
        check_error("  lib.so! 0xzz", 10);
        check_error("a.c:99999999999", 4);
    }
}
