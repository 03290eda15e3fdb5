use std::fs::File;
use std::io::Write as _;
use std::sync::OnceLock;

use crate::clock::{now_us, rfc3339};

static FILE: OnceLock<File> = OnceLock::new();

/// Sends what is logged to a file instead of standard error.
pub(crate) fn log_to(file: File) {
    let _ = FILE.set(file);
}

/// Writes one line to the server's log. What comes in here never holds a secret, and never text
/// that a client chose beyond what an error message repeats.
pub(crate) fn log(message: &str) {
    let clean: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = format!("{} {clean}\n", rfc3339(now_us()));
    let _ = match FILE.get() {
        Some(mut file) => file.write_all(line.as_bytes()),
        None => std::io::stderr().write_all(line.as_bytes()),
    };
}
