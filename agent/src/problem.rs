//! The agent's failures in the one shape that failures have on the wire.

use lr_protocol::{Problem, StatusError};

/// A refusal of the whole attachment.
pub(crate) fn problem(
    code: &str,
    title: impl Into<String>,
    detail: impl Into<String>,
    suggestions: &[&str],
) -> Problem {
    Problem {
        code: code.to_owned(),
        title: title.into(),
        // What was asked for cannot be done with this process (RFC 9110, 15.5.21).
        status: 422,
        detail: detail.into(),
        suggestions: suggestions.iter().map(|&line| line.to_owned()).collect(),
    }
}

/// What is wrong with one location, to whoever asked for nothing else.
pub(crate) fn of_status_error(error: StatusError) -> Problem {
    Problem {
        suggestions: error.suggestions,
        ..problem(&error.code, error.message, "", &[])
    }
}

/// The same as the error of one action.
pub(crate) fn status_error(problem: &Problem) -> StatusError {
    let message = match problem.detail.as_str() {
        "" => problem.title.clone(),
        detail => format!("{}: {detail}", problem.title),
    };
    StatusError {
        code: problem.code.clone(),
        refers_to: String::new(),
        message,
        suggestions: problem.suggestions.clone(),
    }
}
