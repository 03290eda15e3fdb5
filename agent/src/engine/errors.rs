//! What goes wrong while planting, as the error of an action.

use lr_probe::Reason;
use lr_protocol::StatusError;
use lr_tracer::{Rescued, TracerError};
use nix::sys::signal::Signal;

use crate::checks;
use crate::host::{YamaScope, comm_of};
use crate::problem::status_error;

pub(crate) fn of_tracer(error: &TracerError, pid: u32) -> StatusError {
    match error {
        TracerError::NotPermitted { .. } => {
            status_error(&checks::denied(pid, YamaScope::current()))
        }
        TracerError::AlreadyTraced { tracer, .. } => already_traced(pid, *tracer),
        TracerError::TextNotPrivate { .. } => simple(
            error,
            &["a write there could reach the file or another process, so lr does not plant there"],
        ),
        TracerError::TextPatched { .. } => simple(
            error,
            &["another tool has changed the code; remove its breakpoint or patch first"],
        ),
        TracerError::Died => simple(
            error,
            &[
                &format!(
                    "check that process {pid} still runs: a thread that was stopped then died"
                ),
                &format!("`lr doctor {pid}` says whether its text is what it was"),
            ],
        ),
        _ => simple(error, &[]),
    }
}

/// What follows the message that the tracer has died.
pub(crate) fn of_rescue(rescued: Rescued) -> String {
    let bytes = |count: u32| match count {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    };
    match (rescued.restored, rescued.left) {
        (0, 0) => "; it had nothing planted".to_owned(),
        (restored, 0) => format!("; the agent put {} back", bytes(restored)),
        (0, left) => format!("; {} could not be put back", bytes(left)),
        (restored, left) => format!(
            "; the agent put {} back, {} could not be",
            bytes(restored),
            bytes(left)
        ),
    }
}

/// The site that the tracer refuses, where it is about one.
pub(crate) fn address_of(error: &TracerError) -> Option<u64> {
    match error {
        TracerError::TextNotPrivate { address, .. }
        | TracerError::TextPatched { address, .. }
        | TracerError::NoTwin { address } => Some(*address),
        _ => None,
    }
}

/// The code at an address that a user gave is not there any more.
pub(crate) fn unloaded() -> StatusError {
    StatusError {
        code: "no_such_address".to_owned(),
        refers_to: "location".to_owned(),
        message: "what was loaded at that address is not any more".to_owned(),
        suggestions: vec![
            "name the module and the line or function, which is followed when it is loaded again"
                .to_owned(),
        ],
    }
}

pub(crate) fn too_many_actions() -> StatusError {
    StatusError {
        code: "too_many_actions".to_owned(),
        refers_to: String::new(),
        message: "no more actions can be planted in one process at the same time".to_owned(),
        suggestions: vec!["remove some with `lr rm`".to_owned()],
    }
}

pub(crate) fn bad_rate(rate: f64) -> StatusError {
    StatusError {
        code: "bad_request".to_owned(),
        refers_to: "rate".to_owned(),
        message: format!("a rate is a number of events per second above 0, found {rate}"),
        suggestions: Vec::new(),
    }
}

/// `SIGKILL`, or the number of a signal without a name.
pub(crate) fn signal_name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    }
}

fn already_traced(pid: u32, tracer: u32) -> StatusError {
    let who = match (tracer, comm_of(tracer)) {
        (0, _) => "another process".to_owned(),
        (tracer, Some(comm)) => format!("process {tracer} ({comm})"),
        (tracer, None) => format!("process {tracer}"),
    };
    StatusError {
        code: "already_traced".to_owned(),
        refers_to: String::new(),
        message: format!("process {pid} is already traced by {who}"),
        suggestions: vec![format!("end {who}, or let it detach")],
    }
}

fn simple(error: &TracerError, suggestions: &[&str]) -> StatusError {
    let refers_to = match address_of(error) {
        Some(_) => "location",
        None => "",
    };
    StatusError {
        code: error.code().to_owned(),
        refers_to: refers_to.to_owned(),
        message: error.to_string(),
        suggestions: suggestions.iter().map(|&line| line.to_owned()).collect(),
    }
}

/// Why an expression had no value at a hit.
pub(super) fn in_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Unreadable => "it reads memory that is not there",
        Reason::Null => "it goes through a null pointer",
        Reason::DivisionByZero => "it divides by zero",
        Reason::OutOfRange => "it asks for an element behind the end",
        Reason::OptimizedOut => "a variable of it is optimized out there",
        Reason::Budget => "it reads more than it may at a hit",
        Reason::Unsupported => "it asks for what cannot be read",
        Reason::NoRoom => "it keeps more than a hit may",
        Reason::OtherVariant => "it asks for a variant that is not the active one",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(99), "signal 99");
    }

    #[test]
    fn another_tracer_is_named() {
        let error = TracerError::AlreadyTraced {
            pid: 7,
            tracer: std::process::id(),
        };
        let status = of_tracer(&error, 7);
        assert_eq!(status.code, "already_traced");
        let comm = comm_of(std::process::id()).unwrap();
        assert!(status.message.contains(&comm), "{}", status.message);
    }
}
