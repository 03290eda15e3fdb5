mod inline;
mod text;
mod tree;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use lr_agent::{CoreSnapshotRequest, snapshot_of_core};

use crate::escape::{escaped, escaped_json};
use crate::exit;
use crate::failure::Failure;
use crate::output::print;
use crate::progress::telling_meanwhile;
use crate::style::Style;
use crate::tell::tell;

#[derive(Args, Clone, Debug)]
pub(crate) struct Snapshot {
    /// Where; not in this version
    #[arg(value_name = "LOC", hide = true)]
    location: Option<String>,
    /// What the kernel or gdb kept of a process
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    core: Option<PathBuf>,
    /// The program that the process ran, if it is not where it was
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    binary: Option<PathBuf>,
    /// Containers as the structures that they are made of
    #[arg(long)]
    raw: bool,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

impl Snapshot {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (Some(core), None) = (&self.core, &self.location) else {
            tell!(
                "snapshots of running processes are not in this version; `lr snapshot --core FILE` is"
            );
            return Err(Failure::Told(exit::USAGE));
        };
        let request = CoreSnapshotRequest {
            core: core.clone(),
            binary: self.binary.clone(),
            raw: self.raw,
        };
        let what = format!("reading {}", escaped(&core.display().to_string()));
        let snapshot = telling_meanwhile(&what, || snapshot_of_core(&request))?;
        if self.json {
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
