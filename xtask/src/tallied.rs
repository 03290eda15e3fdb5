use std::ffi::OsStr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// A program that keeps words in a file, which can be read whatever becomes of it; killed with this.
#[derive(Debug)]
pub(crate) struct Tallied {
    child: Child,
    file: NamedTempFile,
}

impl Tallied {
    /// Starts a program whose first argument is the file, of a page of zeros.
    pub(crate) fn start<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Result<Tallied> {
        let file = NamedTempFile::with_prefix("lr-tally-").context("a temporary file")?;
        file.as_file().set_len(4096)?;
        let child = Command::new(program)
            .arg(file.path())
            .args(arguments)
            // The program takes it as: die with the thread that started you.
            .env("LR_FIXTURE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Tallied { child, file })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn word(&self, index: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.as_file().read_exact_at(&mut bytes, index * 8)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Tallied {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
