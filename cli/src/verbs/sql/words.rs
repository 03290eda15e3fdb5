use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::statement::is_complete;

const KEYWORDS: &[&str] = &[
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "COUNT",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXPLAIN",
    "FROM",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "PIVOT",
    "SELECT",
    "SHOW",
    "SUMMARIZE",
    "TABLES",
    "THEN",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// What the prompt knows: which words can be completed, and when a statement is whole.
#[derive(Clone, Debug)]
pub(super) struct Words {
    /// Tables and columns, sorted.
    names: Vec<String>,
}

impl Words {
    pub(super) fn new(mut names: Vec<String>) -> Words {
        names.sort_unstable();
        names.dedup();
        Words { names }
    }

    /// Where the word before the cursor begins, and what it may become. Names come first.
    fn candidates(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let before = &line[..cursor];
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let start = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| is_part(*c))
            .last()
            .map_or(cursor, |(at, _)| at);
        let word = before[start..].to_lowercase();
        if word.is_empty() {
            return (start, Vec::new());
        }
        let names = self
            .names
            .iter()
            .filter(|name| name.to_lowercase().starts_with(&word));
        let mut found: Vec<_> = names.cloned().collect();
        let upper = before[start..].starts_with(|c: char| c.is_uppercase());
        for keyword in KEYWORDS
            .iter()
            .filter(|k| k.to_lowercase().starts_with(&word))
        {
            found.push(match upper {
                true => (*keyword).to_string(),
                false => keyword.to_lowercase(),
            });
        }
        (start, found)
    }
}

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, cursor))
    }
}

/// Whether the last line says that its writer has enough, as in psql also amid a statement.
pub(super) fn gives_up(text: &str) -> bool {
    text.lines().last().is_some_and(|line| line.trim() == "\\q")
}

impl Validator for Words {
    /// A command of the prompt is one line; a statement goes on until it is whole.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let whole = text.is_empty()
            || text.starts_with('\\')
            || matches!(text, "exit" | "quit" | "help")
            || gives_up(text)
            || is_complete(text);
        Ok(match whole {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}

impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let names = ["logs", "log_fields", "losses", "ts"].map(str::to_string);
        let (start, found) = Words::new(names.to_vec()).candidates(line, line.len());
        assert_eq!(found, expected, "{line}");
        assert!(line.is_char_boundary(start));
    }

    #[test]
    fn a_statement_is_given_up_on_a_line_of_its_own() {
        assert!(gives_up("select a\n \\q "));
        assert!(!gives_up("select '\\q'") && !gives_up("select a") && !gives_up(""));
    }

    #[test]
    fn names_and_keywords_are_completed() {
        check("select * from lo", &["log_fields", "logs", "losses"]);
        check("select logs.t", &["ts", "tables", "then"]);
        check("SEL", &["SELECT"]);
        check("sel", &["select"]);
        check("Ü", &[]);
        check("select ", &[]);
    }
}
