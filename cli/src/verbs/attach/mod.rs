mod agent;
mod background;
mod place;
mod process;
mod relay;
pub(crate) mod tracked;
mod watch;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use lr_agent::checks::{Asker, judge};
use lr_agent::client::LiveQuery;
use lr_agent::host::ProcessFacts;
use lr_protocol::{ActionSpec, Linger};

use crate::connect::{Connected, ServerArgs};
use crate::escape::escaped;
use crate::event::Form;
use crate::failure::Failure;
use crate::lease;
use crate::options::{ActionOptions, GroupOptions, LogOptions, SnapshotOptions, key_value};
use crate::tell::tell;

use agent::{Attached, Wish};
use place::Placed;
use process::ProcessArgs;
use relay::Relay;

pub(crate) use process::pid;

#[derive(Args, Clone, Debug)]
pub(crate) struct Attach {
    #[command(flatten)]
    process: ProcessArgs,
    /// A log at a line or function: `--log orders.c:42 'id={o.id}'`; may be given again
    #[arg(long, num_args = 2, value_names = ["LOC", "TEMPLATE"], action = clap::ArgAction::Append, allow_hyphen_values = true)]
    log: Vec<String>,
    /// A snapshot of the stack and its variables at a line or function; may be given again
    #[arg(long, value_name = "LOC")]
    snapshot: Vec<String>,
    /// How often a line or function is reached; may be given again
    #[arg(long, value_name = "LOC")]
    counter: Vec<String>,
    /// Statistics of a number: `--metric orders.c:42 o.total`; may be given again
    #[arg(long, num_args = 2, value_names = ["LOC", "EXPR"], action = clap::ArgAction::Append, allow_hyphen_values = true)]
    metric: Vec<String>,
    /// What the numbers of metrics are of, as people write it: ms, bytes
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "",
        hide_default_value = true
    )]
    unit: String,
    /// The agent's name; the command's if none is given
    #[arg(long = "as", value_name = "NAME")]
    agent_name: Option<String>,
    /// A tag of the agent, for `--agent tag:k=v`; may be given again
    #[arg(long = "tag", value_name = "K=V", value_parser = key_value)]
    tags: Vec<(String, String)>,
    /// Return once everything is bound, and leave the agent behind: until the last of these
    /// actions is done, or, without any, until it is detached
    #[arg(long)]
    background: bool,
    /// JSON lines on standard output, and nothing else there
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: ActionOptions,
    #[command(flatten)]
    log_options: LogOptions,
    #[command(flatten)]
    snapshot_options: SnapshotOptions,
    #[command(flatten)]
    group: GroupOptions,
    #[command(flatten)]
    server: ServerArgs,
}

/// How many agents in a row may leave just when a command joins them.
const PLACE_TRIES: u32 = 3;

impl Attach {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let facts = self.process.find()?;
        check(&facts)?;
        let connected = self.server.connect_or_start().await?;
        match self.background {
            true => self.leave_behind(&facts, connected).await,
            false => self.stay(&facts, connected).await,
        }
    }

    /// The actions of this command.
    pub(crate) fn specs(&self) -> Vec<ActionSpec> {
        let mut kinds = Vec::new();
        for pair in self.log.chunks_exact(2) {
            kinds.push(self.log_options.log(&pair[0], &pair[1]));
        }
        for location in &self.snapshot {
            kinds.push(self.snapshot_options.snapshot(location));
        }
        for location in &self.counter {
            kinds.push(self.group.counter(location));
        }
        for pair in self.metric.chunks_exact(2) {
            kinds.push(self.group.metric(&pair[0], &pair[1], &self.unit));
        }
        let mut specs: Vec<ActionSpec> = kinds
            .into_iter()
            .map(|kind| self.options.spec(kind))
            .collect();
        if !self.background {
            // A command that stays ends them itself, a time after they were bound.
            for spec in &mut specs {
                spec.expires_in_s = spec.expires_in_s.map(with_time_to_bind);
            }
        }
        specs
    }

    async fn stay(&self, facts: &ProcessFacts, connected: Connected) -> Result<(), Failure> {
        let lease = lease::new()?;
        // Held before the agent is there, and open before there are actions: nothing that happens
        // to them is missed. Until `Watch` listens for signals, Ctrl-C ends this process, and with
        // it the lease.
        let live = connected
            .client
            .live(&LiveQuery::Lease(lease.clone()))
            .await?;
        let (relay, output) = Relay::start()?;
        let wish = self.wish(facts, Linger::Lease(lease.clone()), Some(output));
        let (attached, placed) = self.place(&connected, &wish, Some(&lease)).await?;
        // The agent alone has the output now, if it is ours.
        drop(wish);
        tell!("`lr portal` shows it in a browser; Ctrl-C ends it");
        watch::Watch {
            client: connected.client,
            live,
            lease,
            attached,
            form: Form::of(self.json),
            lasting: self.options.lasting,
            relay,
        }
        .run(placed)
        .await
    }

    async fn leave_behind(
        &self,
        facts: &ProcessFacts,
        connected: Connected,
    ) -> Result<(), Failure> {
        // Everybody's, because the agent is not known yet.
        let everything = LiveQuery::Tail {
            action: None,
            agent: None,
            since_s: None,
        };
        let live = connected.client.live(&everything).await?;
        let linger = match self.specs().is_empty() {
            // It was not asked for these, and stays for those that come.
            true => Linger::UntilDetached,
            false => Linger::UntilDone,
        };
        let wish = self.wish(facts, linger, self.own_output()?);
        let (attached, placed) = self.place(&connected, &wish, None).await?;
        let form = Form::of(self.json);
        background::settle(&connected.client, live, &attached, placed, form).await?;
        tell!(
            "`lr tail --agent {id}` prints its events; `lr detach {id}` ends it",
            id = attached.id
        );
        Ok(())
    }

    /// An agent on the process, with the actions of this command on it. One that was there may
    /// just be leaving, and is then waited for and replaced.
    async fn place(
        &self,
        connected: &Connected,
        wish: &Wish,
        lease: Option<&str>,
    ) -> Result<(Attached, Placed), Failure> {
        let specs = self.specs();
        let mut tries = 0;
        loop {
            tries += 1;
            let attached = agent::join_or_launch(connected, wish).await?;
            let placed = place::place(&connected.client, &attached.id, lease, &specs).await;
            if !attached.launched && placed.agent_is_leaving() && tries < PLACE_TRIES {
                continue;
            }
            announce(&attached, &wish.executable);
            return Ok((attached, placed));
        }
    }

    /// The standard output of this command, for an agent that outlives it, if an action asks for
    /// it: a reader would wait for the end of both.
    fn own_output(&self) -> Result<Option<Arc<OwnedFd>>, Failure> {
        if !self.options.has_stdout() {
            return Ok(None);
        }
        match std::io::stdout().as_fd().try_clone_to_owned() {
            Ok(output) => Ok(Some(Arc::new(output))),
            Err(error) => Err(Failure::output(&error)),
        }
    }

    fn wish(&self, facts: &ProcessFacts, linger: Linger, output: Option<Arc<OwnedFd>>) -> Wish {
        Wish {
            pid: facts.pid,
            process_id: facts.process_id(),
            name: self
                .agent_name
                .clone()
                .unwrap_or_else(|| facts.comm.clone()),
            has_own_name: self.agent_name.is_some() || !self.tags.is_empty(),
            tags: self.tags.iter().cloned().collect(),
            linger,
            output,
            executable: facts.executable.clone().unwrap_or_default(),
        }
    }
}

fn with_time_to_bind(seconds: u64) -> u64 {
    const TO_BIND: u64 = 300;
    const MOST: u64 = 24 * 3600;
    seconds.saturating_add(TO_BIND).min(MOST.max(seconds))
}

/// What the agent would say anyway, before anything is started for it. Who holds the process is
/// the agent's to say: it may be our own.
fn check(facts: &ProcessFacts) -> Result<(), Failure> {
    let asker = Asker::current().map_err(|error| Failure::new("internal", error.to_string()))?;
    match judge(facts, &asker) {
        Err(problem) if problem.code != "already_traced" => Err(problem.into()),
        _ => Ok(()),
    }
}

fn announce(attached: &Attached, executable: &Path) {
    tell!(
        "{} {} (pid {}, {}), agent {}",
        match attached.launched {
            true => "attached to",
            false => "joined",
        },
        escaped(&attached.name),
        attached.pid,
        escaped(&executable.to_string_lossy()),
        attached.id
    );
}
