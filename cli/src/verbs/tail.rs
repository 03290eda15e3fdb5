use std::time::Duration;

use clap::Args;
use lr_agent::client::{Client, Listing, LiveQuery};
use lr_protocol::{Agent, LiveEvent};

use crate::connect::ServerArgs;
use crate::duration;
use crate::escape::escaped;
use crate::event::{EventLines, Form, loss_line};
use crate::failure::{Failure, of_action, rendered};
use crate::output::Output;
use crate::selector;
use crate::signals::Signals;
use crate::style::Style;
use crate::tell::tell;

#[derive(Args, Clone, Debug)]
pub(crate) struct Tail {
    /// Only this action's
    #[arg(long, value_name = "ID")]
    action: Option<String>,
    /// Only this agent's: an id, name, pid or tag:k=v
    #[arg(long, value_name = "SEL")]
    agent: Option<String>,
    /// First those of the last so long
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    since: Option<Duration>,
    /// JSON lines on standard output, and nothing else there
    #[arg(long)]
    json: bool,
    #[arg(skip)]
    shown: Shown,
    #[command(flatten)]
    server: ServerArgs,
}

/// Which events are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Shown {
    #[default]
    All,
    Metrics,
}

impl Tail {
    /// Counters and metrics alone, as they come.
    pub(crate) fn metrics(action: Option<String>, json: bool, server: ServerArgs) -> Tail {
        Tail {
            action,
            agent: None,
            since: None,
            json,
            shown: Shown::Metrics,
            server,
        }
    }

    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let agents = match &self.agent {
            Some(selector) => Some(chosen(&client, selector).await?),
            None => None,
        };
        let mut signals = Signals::new()?;
        let mut live = client
            .live(&LiveQuery::Tail {
                action: self.action.clone(),
                // Several are sorted out here.
                agent: match agents.as_deref() {
                    Some([one]) => Some(one.clone()),
                    _ => None,
                },
                since_s: self.since.map(duration::whole_seconds),
            })
            .await?;
        let lines = EventLines::new(Form::of(self.json));
        let output = Output::start();
        let done = loop {
            let event = tokio::select! {
                biased;
                () = signals.next() => break Ok(()),
                event = live.next() => match event {
                    Ok(Some(event)) => event,
                    Ok(None) => break Err(Failure::new("server_unreachable", "the server has ended")),
                    Err(error) => break Err(error.into()),
                },
            };
            let is_shown = self.shown == Shown::All || matches!(event, LiveEvent::Metric(_));
            if !is_shown || !is_of(&event, agents.as_deref()) {
                continue;
            }
            tell(&event);
            let Some(line) = lines.line(&event) else {
                continue;
            };
            tokio::select! {
                biased;
                written = output.line(line) => if let Err(failure) = written { break Err(failure) },
                () = signals.next() => break Ok(()),
            }
        };
        let written = output.finish();
        done.and(written)
    }
}

/// The ids of the agents that are meant; one that has ended may be meant by what it was.
async fn chosen(client: &Client, selector: &str) -> Result<Vec<String>, Failure> {
    let ids = |agents: Vec<&Agent>| agents.iter().map(|agent| agent.id.clone()).collect();
    let current = client.agents(Listing::Current).await?;
    match selector::choose(&current, Some(selector)) {
        Ok(agents) => Ok(ids(agents)),
        Err(Failure::Problem(problem))
            if problem.code != "usage" && problem.code != "ambiguous_agent" =>
        {
            let all = client.agents(Listing::All).await?;
            match selector::choose(&all, Some(selector)) {
                Ok(agents) => Ok(ids(agents)),
                Err(_) => Err(Failure::Problem(problem)),
            }
        }
        Err(failure) => Err(failure),
    }
}

fn is_of(event: &LiveEvent, agents: Option<&[String]>) -> bool {
    let Some(agents) = agents else {
        return true;
    };
    let agent = match event {
        LiveEvent::Log(log) => &log.agent,
        LiveEvent::Snapshot(snapshot) => &snapshot.agent,
        LiveEvent::Metric(metric) => &metric.agent,
        LiveEvent::Loss(loss) => &loss.agent,
        LiveEvent::State(state) => &state.agent,
        LiveEvent::End(end) => &end.agent,
        LiveEvent::Unknown => return false,
    };
    agents.contains(agent)
}

/// What is not a log, for people.
fn tell(event: &LiveEvent) {
    match event {
        LiveEvent::Loss(loss) => tell!("{}", loss_line(loss)),
        LiveEvent::End(end) => tell!("pid {}: {}", end.pid, escaped(&end.message)),
        LiveEvent::State(state) => {
            if let Some(error) = &state.error {
                let problem = of_action(error, &format!("action {}", state.action));
                crate::tell::raw(&rendered(&problem, Style::of_stderr()));
            }
        }
        LiveEvent::Log(_) | LiveEvent::Snapshot(_) | LiveEvent::Metric(_) | LiveEvent::Unknown => {}
    }
}
