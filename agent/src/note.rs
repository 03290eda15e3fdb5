use crate::clock::{now_micros, rfc3339};

/// One line for the agent's log, which agents share.
pub(crate) fn note(text: &str) {
    eprintln!(
        "{} agent {}: {text}",
        rfc3339(now_micros()),
        std::process::id()
    );
}
