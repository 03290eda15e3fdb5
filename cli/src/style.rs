use std::io::IsTerminal;

/// Whether text may carry colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    Plain,
    Coloured,
}

impl Style {
    pub(crate) fn of_stdout() -> Style {
        Style::decide(std::io::stdout().is_terminal())
    }

    pub(crate) fn of_stderr() -> Style {
        Style::decide(std::io::stderr().is_terminal())
    }

    /// Colour on a terminal only, and not where <https://no-color.org> is asked for.
    fn decide(is_terminal: bool) -> Style {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        match is_terminal && set("NO_COLOR").is_none() && !dumb {
            true => Style::Coloured,
            false => Style::Plain,
        }
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Style::Plain => text.to_string(),
            Style::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
