use std::fs::File;
use std::io::{BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use crate::escape::escaped;
use crate::failure::Failure;
use crate::output::print;

/// Where a result goes.
#[derive(Debug)]
pub(super) enum Destination {
    Stdout(BufWriter<Stdout>),
    /// Text that a terminal shows when it is complete, escaped.
    Terminal(Vec<u8>),
    File {
        path: PathBuf,
        file: BufWriter<File>,
    },
}

impl Destination {
    /// A file that is there is replaced.
    pub(super) fn open(path: Option<&Path>) -> Result<Destination, Failure> {
        let Some(path) = path else {
            return Ok(Destination::Stdout(BufWriter::new(std::io::stdout())));
        };
        match File::create(path) {
            Ok(file) => Ok(Destination::File {
                path: path.into(),
                file: BufWriter::new(file),
            }),
            Err(error) => Err(cannot_write(path, &error)),
        }
    }

    /// For what the server has written and nobody has escaped.
    pub(super) fn terminal() -> Destination {
        Destination::Terminal(Vec::new())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Destination::Stdout(stdout) => stdout
                .write_all(bytes)
                .map_err(|error| Failure::output(&error)),
            Destination::Terminal(text) => {
                text.extend_from_slice(bytes);
                Ok(())
            }
            Destination::File { path, file } => file
                .write_all(bytes)
                .map_err(|error| cannot_write(path, &error)),
        }
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Destination::Stdout(mut stdout) => {
                stdout.flush().map_err(|error| Failure::output(&error))
            }
            Destination::Terminal(text) => print(&lines(&String::from_utf8_lossy(&text))),
            Destination::File { path, mut file } => {
                file.flush().map_err(|error| cannot_write(&path, &error))
            }
        }
    }
}

fn lines(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", escaped(line)))
        .collect()
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        "output",
        format!("cannot write {}: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_driven_by_what_was_logged() {
        assert_eq!(lines("n\r\n\x1b[2J\n"), "n\n\\u{1b}[2J\n");
    }
}
