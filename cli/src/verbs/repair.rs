use clap::Args;
use lr_agent::{Repaired, repair};
use serde_json::json;

use crate::escape::escaped;
use crate::failure::Failure;
use crate::output::print;

#[derive(Args, Clone, Debug)]
pub(crate) struct Repair {
    /// The process
    #[arg(value_name = "PID", value_parser = crate::verbs::attach::pid)]
    pid: u32,
    /// Also where no journal says that lr planted it: every int3 that the file does not have
    #[arg(long)]
    force: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Repair {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let repaired = repair(self.pid, self.force).map_err(|error| {
            let failure = Failure::new(error.code(), error.to_string());
            match error.code() {
                "permission_denied" => failure.hint("use sudo"),
                _ => failure,
            }
        })?;
        print(&match self.json {
            true => format!("{}\n", as_json(&repaired)),
            false => as_text(&repaired),
        })?;
        match repaired.iter().any(|one| one.left.is_some()) {
            true => Err(Failure::Told(crate::exit::COULD_NOT)),
            false => Ok(()),
        }
    }
}

fn as_text(repaired: &[Repaired]) -> String {
    if repaired.is_empty() {
        return "nothing to put back: its text is what its files have\n".to_owned();
    }
    let line = |one: &Repaired| {
        let (address, file) = (one.stray.address, escaped(&one.stray.file));
        match &one.left {
            None => format!(
                "{address:#x} in {file}: {:#04x} is back\n",
                one.stray.original
            ),
            Some(why) => format!("{address:#x} in {file}: left, {}\n", escaped(why)),
        }
    };
    repaired.iter().map(line).collect()
}

fn as_json(repaired: &[Repaired]) -> serde_json::Value {
    let one = |one: &Repaired| {
        json!({
            "address": format!("{:#x}", one.stray.address),
            "file": one.stray.file,
            "original": one.stray.original,
            "restored": one.left.is_none(),
            "left": one.left,
        })
    };
    json!({ "bytes": repaired.iter().map(one).collect::<Vec<_>>() })
}
