use std::io;

use lr_agent::LaunchFailure;
use lr_agent::client::{ClientError, EndpointSyntax, LocalError, StateDirError};
use lr_protocol::{Problem, StatusError};

use crate::escape::escaped;
use crate::exit;
use crate::style::Style;

/// Why a verb did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be told to the user.
    Problem(Box<Problem>),
    /// Told already; what is left is the exit status.
    Told(u8),
    /// The reader of standard output went away, as in `lr tail | head`: nothing to tell.
    NoReader,
}

impl Failure {
    pub(crate) fn new(code: &str, title: impl Into<String>) -> Failure {
        Failure::Problem(Box::new(Problem {
            code: code.into(),
            title: title.into(),
            status: 0,
            detail: String::new(),
            suggestions: Vec::new(),
        }))
    }

    /// With what was tried.
    pub(crate) fn tried(mut self, detail: impl Into<String>) -> Failure {
        if let Failure::Problem(problem) = &mut self {
            problem.detail = detail.into();
        }
        self
    }

    /// With one more thing to do about it.
    pub(crate) fn hint(mut self, suggestion: impl Into<String>) -> Failure {
        if let Failure::Problem(problem) = &mut self {
            problem.suggestions.push(suggestion.into());
        }
        self
    }

    /// From an error of writing standard output.
    pub(crate) fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::NoReader,
            _ => Failure::new("output", format!("cannot write the output: {error}")),
        }
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Failure::Problem(problem) => exit::status_of(&problem.code),
            Failure::Told(status) => *status,
            Failure::NoReader => exit::DONE,
        }
    }

    /// Tells the user, where that is still to be done.
    pub(crate) fn tell(&self) {
        if let Failure::Problem(problem) = self {
            crate::tell::raw(&rendered(problem, Style::of_stderr()));
        }
    }
}

/// An action's error in the same form as every other.
pub(crate) fn of_action(error: &StatusError, action: &str) -> Problem {
    Problem {
        code: error.code.clone(),
        title: error.message.clone(),
        status: 0,
        detail: match error.refers_to.as_str() {
            "" => action.to_string(),
            part => format!("{action} ({part})"),
        },
        suggestions: error.suggestions.clone(),
    }
}

/// `error[code]: message`, then what was tried and what to do, each on a line.
pub(crate) fn rendered(problem: &Problem, style: Style) -> String {
    let mut text = format!(
        "{}: {}\n",
        style.red(&format!("error[{}]", escaped(&problem.code))),
        lines(&problem.title, "  ")
    );
    if !problem.detail.is_empty() {
        text.push_str(&format!(
            "  tried: {}\n",
            lines(&problem.detail, "         ")
        ));
    }
    for suggestion in &problem.suggestions {
        text.push_str(&format!("  hint: {}\n", lines(suggestion, "        ")));
    }
    text
}

/// Our own messages may have several lines, such as one that points at a place; what stands in
/// them is escaped all the same.
fn lines(text: &str, indent: &str) -> String {
    let lines: Vec<_> = text.lines().map(escaped).collect();
    lines.join(&format!("\n{indent}"))
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::Problem(Box::new(problem))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        error.to_problem().into()
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Failure {
        error.to_problem().into()
    }
}

impl From<StateDirError> for Failure {
    fn from(error: StateDirError) -> Failure {
        LocalError::from(error).into()
    }
}

impl From<EndpointSyntax> for Failure {
    fn from(error: EndpointSyntax) -> Failure {
        Failure::new(error.code(), error.to_string())
    }
}

impl From<LaunchFailure> for Failure {
    fn from(failure: LaunchFailure) -> Failure {
        match failure {
            LaunchFailure::Problem(problem) => Failure::Problem(problem),
            failure => Failure::new(failure.code(), failure.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_tried_and_what_to_do() {
        let Failure::Problem(problem) = Failure::new("no_such_line", "orders.c:3 has no code")
            .tried("1 file of that name")
            .hint("orders.c:9 has")
            .hint("orders.c:12 has")
        else {
            panic!()
        };
        assert_eq!(
            rendered(&problem, Style::Plain),
            "error[no_such_line]: orders.c:3 has no code\n  tried: 1 file of that name\n  \
             hint: orders.c:9 has\n  hint: orders.c:12 has\n"
        );
    }

    #[test]
    fn what_a_target_put_into_an_error_is_escaped_and_lines_stay_lines() {
        let Failure::Problem(problem) = Failure::new("bad_template", "at `\x1b[2J`:\n  ^ here")
        else {
            panic!()
        };
        assert_eq!(
            rendered(&problem, Style::Plain),
            "error[bad_template]: at `\\u{1b}[2J`:\n    ^ here\n"
        );
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::output(&error).exit_status(), exit::DONE);
        let error = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Failure::output(&error).exit_status(), exit::COULD_NOT);
    }
}
