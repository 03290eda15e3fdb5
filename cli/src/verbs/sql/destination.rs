use std::fs::File;
use std::io::{BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Where a result goes.
#[derive(Debug)]
pub(super) enum Destination {
    Stdout(BufWriter<Stdout>),
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

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Destination::Stdout(stdout) => stdout
                .write_all(bytes)
                .map_err(|error| Failure::output(&error)),
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
            Destination::File { path, mut file } => {
                file.flush().map_err(|error| cannot_write(&path, &error))
            }
        }
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        "output",
        format!("cannot write {}: {error}", path.display()),
    )
}
