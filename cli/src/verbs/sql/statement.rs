/// Whether a text holds a whole statement: it ends with a semicolon that stands outside strings,
/// quoted names and comments. What is blank or only a comment is nothing yet.
pub(super) fn is_complete(text: &str) -> bool {
    let mut rest = text;
    let mut complete = false;
    while let Some(c) = rest.chars().next() {
        let (length, open) = token(rest, c);
        if open {
            return false;
        }
        match c {
            ';' => complete = true,
            _ if c.is_whitespace() || is_comment(rest) => {}
            _ => complete = false,
        }
        rest = &rest[length..];
    }
    complete
}

fn is_comment(rest: &str) -> bool {
    rest.starts_with("--") || rest.starts_with("/*")
}

/// How long the token is that begins here, and whether its end is missing.
fn token(rest: &str, first: char) -> (usize, bool) {
    let until = |start: usize, end: &str| match rest[start..].find(end) {
        Some(at) => (start + at + end.len(), false),
        None => (rest.len(), true),
    };
    match first {
        // A doubled quote inside ends one token and begins the next, which comes to the same.
        '\'' => until(1, "'"),
        '"' => until(1, "\""),
        '-' if rest.starts_with("--") => (until(2, "\n").0, false),
        '/' if rest.starts_with("/*") => until(2, "*/"),
        '$' => match dollar_tag(rest) {
            Some(tag) => until(tag.len(), tag),
            None => (1, false),
        },
        c => (c.len_utf8(), false),
    }
}

/// `$$` or `$tag$`, which begins a string; `$name` is a parameter.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_')? + 1;
    rest[end..].starts_with('$').then(|| &rest[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: bool) {
        assert_eq!(is_complete(text), expected, "{text}");
    }

    #[test]
    fn a_semicolon_ends_a_statement() {
        check("select 1;", true);
        check("select 1;\n  -- done", true);
        check("select 1; /* done */ ", true);
        check("select\n1\n;", true);
        check("select 1", false);
        check("select 1; select", false);
        check("", false);
        check("-- nothing;", false);
    }

    #[test]
    fn one_inside_of_something_does_not() {
        check("select ';", false);
        check("select ';'", false);
        check("select 'it''s;'", false);
        check("select 'it''s;';", true);
        check("select \";\"", false);
        check("select 1 -- ;", false);
        check("select 1 /* ;", false);
        check("select $$;", false);
        check("select $$;$$;", true);
        check("select $a$;$a$;", true);
        check("select $name;", true);
        check("select 'ü;", false);
    }
}
