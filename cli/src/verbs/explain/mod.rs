mod text;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use lr_agent::client::Listing;
use lr_agent::host::ProcessFacts;
use lr_agent::{ExplainRequest, ExplainTarget};
use lr_protocol::Agent;

use crate::connect::ServerArgs;
use crate::escape::{escaped, escaped_json};
use crate::failure::Failure;
use crate::output::print;
use crate::progress::telling_meanwhile;
use crate::selector;
use crate::style::Style;
use crate::tell::tell;

/// How many addresses are explained unless all are asked for.
const MOST_ADDRESSES: usize = 16;

#[derive(Args, Clone, Debug)]
pub(crate) struct Explain {
    /// Where: file:line[:column], function[+offset], 0xaddress, each behind module! if need be
    #[arg(value_name = "LOC")]
    location: String,
    #[command(flatten)]
    target: Target,
    /// All addresses, however many, and every row that is not bound
    #[arg(long)]
    all: bool,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct Target {
    /// In a process; nothing of it is stopped
    #[arg(long, value_name = "PID", value_parser = crate::verbs::attach::pid)]
    pid: Option<u32>,
    /// In the process of an agent on this machine: an id, name, pid or tag:k=v
    #[arg(long, value_name = "SEL")]
    agent: Option<String>,
    /// In a file that need not run
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    binary: Option<PathBuf>,
    /// In what was kept of a process that is no more
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    core: Option<PathBuf>,
}

impl Explain {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (target, what) = self.target()?;
        let request = ExplainRequest {
            location: self.location.clone(),
            target,
            most_addresses: match self.all {
                true => usize::MAX,
                false => MOST_ADDRESSES,
            },
        };
        let what = format!("reading debug info of {}", escaped(&what));
        let explanation = telling_meanwhile(&what, || lr_agent::explain(&request))?;
        if self.json {
            let json = serde_json::to_string(&explanation)
                .map_err(|error| Failure::new("internal", error.to_string()))?;
            return print(&format!("{}\n", escaped_json(&json)));
        }
        print(&text::of(&explanation, self.all, Style::of_stdout()))?;
        for warning in &explanation.warnings {
            tell!("note: {}", escaped(warning));
        }
        Ok(())
    }

    /// What to look into, and its name.
    fn target(&self) -> Result<(ExplainTarget, String), Failure> {
        let target = &self.target;
        if let Some(pid) = target.pid {
            return Ok((ExplainTarget::Process(pid), format!("process {pid}")));
        }
        if let Some(path) = &target.binary {
            let name = path.display().to_string();
            return Ok((ExplainTarget::Binary(path.clone()), name));
        }
        if let Some(path) = &target.core {
            let name = path.display().to_string();
            return Ok((ExplainTarget::Core(path.clone()), name));
        }
        let agent = crate::verbs::in_runtime(self.agent())?;
        let pid = agent.process.pid;
        Ok((
            ExplainTarget::Process(pid),
            format!("{} (pid {pid})", agent.name),
        ))
    }

    /// The one agent that is meant, if it is on this machine.
    async fn agent(&self) -> Result<Agent, Failure> {
        let client = self.server.connect_to_agents().await?.client;
        let agents = client.agents(Listing::Current).await?;
        let chosen = selector::choose(&agents, self.target.agent.as_deref())?;
        let [agent] = chosen[..] else {
            return Err(selector::several(&chosen));
        };
        let pid = agent.process.pid;
        let host = nix::unistd::gethostname().unwrap_or_default();
        if agent.host != host.to_string_lossy() {
            let title = format!(
                "the agent {} is on the host {}",
                escaped(&agent.name),
                escaped(&agent.host)
            );
            return Err(Failure::new("other_host", title)
                .tried("files and mappings of a process are read on the machine that it runs on")
                .hint(format!("run `lr explain … --pid {pid}` there")));
        }
        match ProcessFacts::read(pid) {
            Ok(facts) if facts.process_id() == agent.process.process_id => Ok(agent.clone()),
            _ => Err(Failure::new(
                "process_gone",
                format!("process {pid} of agent {} has ended", escaped(&agent.name)),
            )),
        }
    }
}
