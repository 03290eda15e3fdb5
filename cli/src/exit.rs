/// Done.
pub(crate) const DONE: u8 = 0;
/// Could not be done.
pub(crate) const COULD_NOT: u8 = 1;
/// Not asked for in a way that can be understood.
pub(crate) const USAGE: u8 = 2;
/// The process is gone.
pub(crate) const GONE: u8 = 3;
/// Not permitted.
pub(crate) const NO_PERMISSION: u8 = 4;

/// The exit status for an error's stable code; those that are not listed are 1.
const STATUS: &[(&str, u8)] = &[
    ("usage", USAGE),
    ("bad_expression", USAGE),
    ("bad_location", USAGE),
    ("bad_template", USAGE),
    ("bad_condition", USAGE),
    ("no_such_process", GONE),
    ("process_gone", GONE),
    ("permission_denied", NO_PERMISSION),
    ("ptrace_scope", NO_PERMISSION),
    ("unauthorized", NO_PERMISSION),
];

pub(crate) fn status_of(code: &str) -> u8 {
    STATUS
        .iter()
        .find(|(known, _)| *known == code)
        .map_or(COULD_NOT, |(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_documented_status() {
        for (code, status) in [
            ("usage", 2),
            ("bad_template", 2),
            ("no_such_process", 3),
            ("process_gone", 3),
            ("permission_denied", 4),
            ("ptrace_scope", 4),
            ("unauthorized", 4),
            ("no_such_line", 1),
            ("bad_query", 1),
            ("one of a later version", 1),
        ] {
            assert_eq!(status_of(code), status, "{code}");
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<_> = STATUS.iter().map(|(code, _)| code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), STATUS.len());
    }
}
