mod inline;
pub(crate) mod text;
mod tree;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use lr_agent::{CoreSnapshotRequest, snapshot_of_core};

use crate::escape::{escaped, escaped_json};
use crate::failure::Failure;
use crate::options::SnapshotOptions;
use crate::output::print;
use crate::progress::telling_meanwhile;
use crate::style::Style;
use crate::tell::tell;
use crate::verbs::placing::Placing;

#[derive(Args, Clone, Debug)]
pub(crate) struct Snapshot {
    /// Where: orders.c:42, or a function
    #[arg(value_name = "LOC", required_unless_present = "core")]
    location: Option<String>,
    /// What the kernel or gdb kept of a process, instead
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
        conflicts_with_all = ["location", "all_threads", "registers", "agent", "wait"])]
    core: Option<PathBuf>,
    /// The program that the core's process ran, if it is not where it was
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "core")]
    binary: Option<PathBuf>,
    /// The thread whose variables are shown, in place of the one that the process died of
    #[arg(long, value_name = "TID", requires = "core")]
    thread: Option<u32>,
    /// At most so many frames of each stack
    #[arg(long, value_name = "N", default_value = "20", requires = "core", value_parser = frames)]
    frames: usize,
    /// The variables of so many of the frames
    #[arg(long, value_name = "N", default_value = "5", requires = "core", value_parser = frames)]
    variables: usize,
    /// Containers of a core as the structures that they are made of
    #[arg(long, requires = "core")]
    raw: bool,
    #[command(flatten)]
    snapshot: SnapshotOptions,
    #[command(flatten)]
    placing: Placing,
}

/// More would be more than anybody reads, and than memory holds.
const MAX_FRAMES: usize = 1_000_000;

fn frames(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 0..=MAX_FRAMES) => Ok(count),
        _ => Err(format!("a number up to {MAX_FRAMES} is expected")),
    }
}

impl Snapshot {
    /// Reading a core needs no server.
    pub(crate) fn is_of_core(&self) -> bool {
        self.core.is_some()
    }

    pub(crate) async fn run(self) -> Result<(), Failure> {
        let location = self.location.as_deref().unwrap_or_default();
        let kind = self.snapshot.snapshot(location);
        self.placing.place(kind).await
    }

    pub(crate) fn run_on_core(self) -> Result<(), Failure> {
        let core = self.core.unwrap_or_default();
        let request = CoreSnapshotRequest {
            core: core.clone(),
            binary: self.binary.clone(),
            thread: self.thread,
            frames: self.frames,
            with_variables: self.variables,
            watches: self.snapshot.watches().to_vec(),
            raw: self.raw,
        };
        let what = format!("reading {}", escaped(&core.display().to_string()));
        let snapshot = telling_meanwhile(&what, || snapshot_of_core(&request))?;
        if self.placing.json {
            let mut json = serde_json::to_value(&snapshot)
                .map_err(|error| Failure::new("internal", error.to_string()))?;
            json["type"] = "snapshot".into();
            return print(&format!("{}\n", escaped_json(&json.to_string())));
        }
        print(&text::of(&snapshot, Style::of_stdout()))?;
        for warning in &snapshot.warnings {
            tell!("note: {}", escaped(warning));
        }
        Ok(())
    }
}
