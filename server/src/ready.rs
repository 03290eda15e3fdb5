use std::fs::OpenOptions;
use std::io::Write as _;

use serde_json::Value;

/// Tells whoever started the server, on a file descriptor that it left open, that the server
/// accepts connections or why it cannot.
#[derive(Debug)]
pub(crate) struct Ready {
    fd: Option<i32>,
}

impl Ready {
    pub(crate) fn new(fd: Option<i32>) -> Ready {
        Ready { fd }
    }

    /// Writes one line and closes the descriptor, so that a reader sees its end.
    pub(crate) fn tell(self, message: &Value) {
        let Some(fd) = self.fd else { return };
        let file = OpenOptions::new()
            .write(true)
            .open(format!("/proc/self/fd/{fd}"));
        if let Ok(mut file) = file {
            let _ = file.write_all(format!("{message}\n").as_bytes());
        }
        let _ = nix::unistd::close(fd);
    }
}
