use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::build::Programs;
use crate::{command, interrupt};

/// An `lr` with a state directory, and so a local server, of its own; both go away with it.
#[derive(Debug)]
pub(crate) struct Local {
    programs: Programs,
    folder: tempfile::TempDir,
}

impl Local {
    pub(crate) fn new(programs: Programs) -> Result<Local> {
        let folder = tempfile::Builder::new()
            .prefix("lr-")
            .tempdir()
            .context("a temporary folder")?;
        Ok(Local { programs, folder })
    }

    /// An `lr` command, not started yet.
    pub(crate) fn lr(&self) -> Command {
        let mut command = Command::new(&self.programs.lr);
        command
            .env("LR_STATE_DIR", self.state_dir())
            .env_remove("LR_SERVER")
            .env_remove("LR_TOKEN");
        command
    }

    /// The rows that a query yields.
    pub(crate) fn sql(&self, query: &str) -> Result<Vec<Value>> {
        let mut lr = self.lr();
        lr.args(["sql", "--format", "json", query]);
        let rows = serde_json::from_str(&command::output(&mut lr)?)?;
        Ok(rows)
    }

    /// The numbers of the one row that a query yields.
    pub(crate) fn sql_numbers(&self, query: &str) -> Result<Vec<f64>> {
        let rows = self.sql(query)?;
        let Some(row) = rows.first().and_then(Value::as_object) else {
            bail!("{query}: no row")
        };
        row.values()
            .map(|value| {
                let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
                number.with_context(|| format!("{query}: {value}"))
            })
            .collect()
    }

    /// The agent on a process, as the server knows it.
    pub(crate) fn agent_on(&self, pid: u32) -> Result<Pid> {
        for agent in json_lines(&command::output(self.lr().args(["agents", "--json"]))?)? {
            if agent["process"]["pid"] == pid
                && let Some(Ok(agent)) = agent["agent_pid"].as_i64().map(i32::try_from)
            {
                return Ok(Pid::from_raw(agent));
            }
        }
        bail!("no agent on process {pid}")
    }

    /// What has become of all actions that ever were.
    pub(crate) fn actions(&self) -> Result<Vec<Value>> {
        json_lines(&command::output(
            self.lr().args(["actions", "--all", "--json"]),
        )?)
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // What an interrupted `lr` was about to start may appear a moment later.
        let late = Instant::now() + Duration::from_millis(300);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // The server last, which the agents' last words are for. Both end well on SIGTERM, and
            // there is no other way to tell one that does not listen yet.
            let mut left = processes_of(b"agent-process", &self.state_dir());
            if left.is_empty() {
                left = processes_of(b"serve", &self.state_dir());
            }
            for process in &left {
                let _ = kill(*process, Signal::SIGTERM);
            }
            let now = Instant::now();
            if left.is_empty() && (now > late || !interrupt::is_pending()) {
                return;
            }
            if now > deadline {
                eprintln!("xtask: {left:?} do not end");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn json_lines(text: &str) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.push(serde_json::from_str(line)?);
    }
    Ok(lines)
}

/// Processes with this verb of which an argument has the state directory, which nobody else uses.
fn processes_of(verb: &[u8], state_dir: &Path) -> Vec<Pid> {
    let state_dir = state_dir.as_os_str().as_encoded_bytes();
    let names_it = |argument: &[u8]| {
        let mut windows = argument.windows(state_dir.len());
        windows.any(|window| window == state_dir)
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let mut arguments = line.split(|&byte| byte == 0);
        if arguments.nth(1) == Some(verb) && arguments.any(names_it) {
            found.push(Pid::from_raw(pid));
        }
    }
    found
}
