use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::build::Programs;
use crate::command;

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

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let socket = self.state_dir().join("server.sock");
        if !socket.exists() {
            return;
        }
        if let Err(error) = command::output(self.lr().args(["server", "stop"])) {
            eprintln!("xtask: {error:#}");
        }
        // The folder may go only when nobody writes into it.
        let deadline = Instant::now() + Duration::from_secs(20);
        while socket.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
