use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

use crate::interrupt;

/// A gdb that is attached to a process and carries out commands; ended with this.
#[derive(Debug)]
pub(crate) struct Gdb {
    child: Child,
    lines: Arc<AtomicU64>,
}

impl Gdb {
    /// Attaches and begins with the commands; lines of its output that begin with `prefix` are
    /// counted.
    pub(crate) fn start(pid: u32, commands: &[&str], prefix: &'static str) -> Result<Gdb> {
        let mut gdb = command(pid, commands);
        let mut child = gdb
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting gdb")?;
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let lines = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                let Ok(line) = line else { break };
                if line.starts_with(prefix.as_bytes()) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Gdb { child, lines })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many lines have come.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Gdb {
    fn drop(&mut self) {
        interrupt::end(&mut self.child);
    }
}

/// A gdb that attaches to a process, carries out commands and ends.
pub(crate) fn command(pid: u32, commands: &[&str]) -> Command {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-p", &pid.to_string()]);
    for command in ["set pagination off", "set confirm off"]
        .iter()
        .chain(commands)
    {
        gdb.args(["-ex", command]);
    }
    gdb
}
