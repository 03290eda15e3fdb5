use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::program::Program;
use super::script;
use crate::{command, interrupt};

/// Names a folder in which stops are kept: whoever works on `lr` compares the same ones again.
const KEEP: &str = "LR_FIDELITY_STOPS";

/// How many of gdb's last lines are shown where it reached less than it should have.
const SAID: usize = 20;

/// The stops of a program, one after the other.
pub(super) struct Stops {
    /// None where they were kept by an earlier run.
    gdb: Option<Child>,
    /// Where gdb writes them.
    folder: tempfile::TempDir,
    kept: Option<PathBuf>,
    wanted: usize,
    count: usize,
}

/// A core, and what gdb says of the same state.
pub(super) struct Stop {
    pub(super) core: PathBuf,
    pub(super) told: Value,
    told_in: PathBuf,
}

impl Stops {
    pub(super) fn of(program: &Program, stops: usize) -> Result<Stops> {
        let keep = std::env::var_os(KEEP).map(PathBuf::from);
        let kept = keep.as_ref().map(|keep| keep.join(&program.name));
        let mut temporary = tempfile::Builder::new();
        temporary.prefix("lr-fidelity-");
        let folder = match &keep {
            // Beside them, so that they need not be copied.
            Some(keep) => temporary.tempdir_in(keep)?,
            None => temporary.tempdir()?,
        };
        let gdb = match &kept {
            Some(kept) if kept.is_dir() => None,
            _ => Some(start(folder.path(), program, stops)?),
        };
        if let (Some(kept), Some(_)) = (&kept, &gdb) {
            fs::create_dir(kept).with_context(|| format!("creating {}", kept.display()))?;
        }
        Ok(Stops {
            gdb,
            folder,
            kept,
            wanted: stops,
            count: 0,
        })
    }

    /// The next stop, or none after the last.
    pub(super) fn next(&mut self) -> Result<Option<Stop>> {
        let folder = match (&self.kept, &self.gdb) {
            (Some(kept), None) => kept,
            _ => self.folder.path(),
        };
        let told_in = folder.join(format!("{:05}.json", self.count));
        loop {
            interrupt::check()?;
            let ended = match &mut self.gdb {
                Some(gdb) => gdb.try_wait()?.map(|status| status.success()),
                None => Some(true),
            };
            if told_in.is_file() {
                break;
            }
            match ended {
                None => std::thread::sleep(Duration::from_millis(5)),
                Some(true) => {
                    if self.gdb.is_some() && self.count < self.wanted {
                        let (count, log) = (self.count, self.log()?);
                        eprintln!("{count} statements were reached; the last that gdb said: {log}");
                    }
                    return Ok(None);
                }
                Some(false) => bail!("gdb failed: {}", self.log()?),
            }
        }
        self.count += 1;
        Ok(Some(Stop {
            core: told_in.with_extension("core"),
            told: serde_json::from_str(&fs::read_to_string(&told_in)?)?,
            told_in,
        }))
    }

    /// The end of what gdb printed.
    fn log(&self) -> Result<String> {
        let log = fs::read_to_string(self.folder.path().join("gdb.log"))?;
        let lines: Vec<&str> = log.trim().lines().collect();
        Ok(lines[lines.len().saturating_sub(SAID)..].join("\n"))
    }

    /// Makes room for more.
    pub(super) fn is_read(&self, stop: &Stop) -> Result<()> {
        if self.kept.is_some() && self.gdb.is_some() {
            // Most of a core is zeros.
            command::output(Command::new("fallocate").arg("--dig-holes").arg(&stop.core))?;
        }
        for path in [&stop.core, &stop.told_in] {
            match (&self.kept, &self.gdb) {
                (Some(kept), Some(_)) => {
                    fs::rename(
                        path,
                        kept.join(path.file_name().context("a file has a name")?),
                    )?;
                }
                (Some(_), None) => {}
                (None, _) => fs::remove_file(path)?,
            }
        }
        Ok(())
    }
}

impl Drop for Stops {
    fn drop(&mut self) {
        if let Some(gdb) = &mut self.gdb {
            // It kills what it debugs.
            interrupt::end(gdb);
        }
    }
}

fn start(folder: &Path, program: &Program, stops: usize) -> Result<Child> {
    eprintln!("stopping {} at {stops} statements", program.name);
    let log = fs::File::create(folder.join("gdb.log"))?;
    let mut gdb = script(folder, program, stops, &program.commands)?;
    gdb.stdout(log.try_clone()?).stderr(log);
    if let Some(load) = &program.load {
        gdb.env("LR_LOAD", load);
    }
    gdb.spawn().context("starting gdb")
}
