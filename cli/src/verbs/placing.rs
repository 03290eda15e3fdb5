use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use lr_agent::client::{Client, Listing, LiveQuery, LiveStream};
use lr_protocol::{Action, ActionKind, ActionTarget, LiveEvent, LiveState, NewAction};
use tokio::time::{Instant, timeout_at};

use crate::connect::ServerArgs;
use crate::duration;
use crate::event::{EventLines, Form, loss_line, seen_by};
use crate::failure::Failure;
use crate::options::ActionOptions;
use crate::output::print;
use crate::selector;
use crate::signals::Signals;
use crate::tell::tell;
use crate::verbs::attach::tracked::{Tracked, all_failed_status};

/// How an action is placed on a process that is attached, and what is waited for.
#[derive(Args, Clone, Debug)]
pub(crate) struct Placing {
    /// On which agent: an id, name, pid or tag:k=v [default: the one that is attached]
    #[arg(long, value_name = "SEL")]
    agent: Option<String>,
    /// Print so many events, then end; the action stays
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    wait: Option<u64>,
    /// Give up waiting after so long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "wait")]
    timeout: Option<Duration>,
    /// JSON lines on standard output, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    options: ActionOptions,
    #[command(flatten)]
    server: ServerArgs,
}

/// Resolving a location in a large program for the first time indexes its debug info.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

impl Placing {
    /// Places an action of that kind. Without `--wait` its id is printed once it is bound.
    pub(crate) async fn place(self, kind: ActionKind) -> Result<(), Failure> {
        if self.wait.is_some() && !self.options.has_server() {
            return Err(Failure::new(
                "usage",
                "--wait waits for events that the server has, and --output sends them elsewhere",
            )
            .hint("use --output both, or leave --wait out"));
        }
        let client = self.server.connect_to_agents().await?.client;
        let agents = client.agents(Listing::Current).await?;
        let expected = selector::choose(&agents, self.agent.as_deref())?.len();
        let target = selector::target(&agents, self.agent.as_deref())?;
        let mut signals = Signals::new()?;
        let live = client
            .live(&LiveQuery::Tail {
                action: None,
                agent: match &target {
                    ActionTarget::Agent(id) => Some(id.clone()),
                    ActionTarget::Tag(_) => None,
                },
                since_s: None,
            })
            .await?;
        let action = NewAction {
            spec: self.options.spec(kind),
            target,
            lease: None,
        };
        let action = client.new_action(&action).await?;
        let mut waiting = Waiting {
            client,
            live,
            action,
            lines: EventLines::new(Form::of(self.json)),
            on: BTreeMap::new(),
            printed: 0,
        };
        tokio::select! {
            done = waiting.run(&self, expected) => done,
            () = signals.next() => {
                tell!("the action stays; `lr rm {}` removes it", waiting.action.id);
                Err(Failure::Told(crate::exit::COULD_NOT))
            }
        }
    }
}

/// One action, followed until it is bound and, if so asked, until it has had its events.
#[derive(Debug)]
struct Waiting {
    client: Client,
    live: LiveStream,
    action: Action,
    lines: EventLines,
    /// By agent.
    on: BTreeMap<String, Tracked>,
    printed: u64,
}

impl Waiting {
    async fn run(&mut self, placing: &Placing, expected: usize) -> Result<(), Failure> {
        let wanted = placing.wait.unwrap_or(0);
        let asked = Instant::now();
        let limit = placing.timeout.unwrap_or(SETTLE_LIMIT);
        while !self.is_settled(expected) {
            match timeout_at(asked + limit, self.hear(wanted)).await {
                Ok(heard) => heard?,
                Err(_) => return Err(self.too_late("it was not bound", limit)),
            }
        }
        let actions: Vec<_> = self.on.values().cloned().collect();
        if let Some(status) = all_failed_status(&actions) {
            return Err(Failure::Told(status));
        }
        if placing.wait.is_none() {
            return match self.lines.form {
                Form::People => print(&format!("{}\n", self.action.id)),
                Form::Json => Ok(()),
            };
        }
        let until = placing.timeout.map(|limit| (asked + limit, limit));
        while self.printed < wanted {
            if self.on.values().all(|action| action.state.is_final()) {
                return Err(Failure::new(
                    "too_few_events",
                    format!("the action ended after {} of {wanted} events", self.printed),
                ));
            }
            match until {
                None => self.hear(wanted).await?,
                Some((until, limit)) => match timeout_at(until, self.hear(wanted)).await {
                    Ok(heard) => heard?,
                    Err(_) => {
                        let what = format!("{} of {wanted} events came", self.printed);
                        return Err(self.too_late(&what, limit));
                    }
                },
            }
        }
        Ok(())
    }

    fn is_settled(&self, expected: usize) -> bool {
        self.on.len() >= expected && self.on.values().all(Tracked::is_settled)
    }

    async fn hear(&mut self, wanted: u64) -> Result<(), Failure> {
        let event = self.live.next().await?.ok_or_else(|| {
            Failure::new(
                "server_unreachable",
                "the server ended the stream of events",
            )
        })?;
        match &event {
            LiveEvent::Log(_) | LiveEvent::Snapshot(_) | LiveEvent::Metric(_)
                if seen_by(&event) == Some(&self.action.id) && self.printed < wanted =>
            {
                self.print(&event)?;
                self.printed += 1;
            }
            LiveEvent::State(state) if state.action == self.action.id => {
                self.print(&event)?;
                self.hear_state(state).await?;
            }
            LiveEvent::Loss(loss) if loss.action.as_ref() == Some(&self.action.id) => {
                self.print(&event)?;
                tell!("{}", loss_line(loss));
            }
            _ => {}
        }
        Ok(())
    }

    async fn hear_state(&mut self, state: &LiveState) -> Result<(), Failure> {
        let action = &self.action;
        let tracked = self
            .on
            .entry(state.agent.clone())
            .or_insert_with(|| Tracked::new(action));
        tracked.hear(state, &self.client).await?;
        Ok(())
    }

    fn print(&self, event: &LiveEvent) -> Result<(), Failure> {
        match self.lines.line(event) {
            Some(line) => print(&format!("{line}\n")),
            None => Ok(()),
        }
    }

    fn too_late(&self, what: &str, limit: Duration) -> Failure {
        Failure::new(
            "timeout",
            format!("{what} within {} s", limit.as_secs_f32()),
        )
        .hint(format!(
            "the action stays; `lr rm {}` removes it",
            self.action.id
        ))
    }
}
