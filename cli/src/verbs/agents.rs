use clap::Args;
use jiff::tz::TimeZone;
use lr_agent::client::Listing;
use lr_protocol::{Agent, AgentState};

use crate::connect::ServerArgs;
use crate::escape::escaped_json;
use crate::failure::Failure;
use crate::output::print;
use crate::style::Style;
use crate::table;
use crate::tell::tell;
use crate::time;

#[derive(Args, Clone, Debug)]
pub(crate) struct Agents {
    /// Also those that have ended
    #[arg(long)]
    all: bool,
    /// A JSON line for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Agents {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let listing = match self.all {
            true => Listing::All,
            false => Listing::Current,
        };
        let agents = match self.server.connect().await? {
            Some(connected) => connected.client.agents(listing).await?,
            None => Vec::new(),
        };
        if self.json {
            return print(&json_lines(&agents));
        }
        if agents.is_empty() {
            tell!("no process is attached");
            return Ok(());
        }
        print(&listed(&agents, Style::of_stdout(), &TimeZone::system()))
    }
}

pub(crate) fn json_lines<T: serde::Serialize>(items: &[T]) -> String {
    let mut text = String::new();
    for item in items {
        let json = serde_json::to_string(item).expect("protocol types have string keys");
        text.push_str(&escaped_json(&json));
        text.push('\n');
    }
    text
}

pub(crate) fn state_word(state: AgentState) -> &'static str {
    match state {
        AgentState::Attached => "attached",
        AgentState::Detaching => "detaching",
        AgentState::Silent => "silent",
        AgentState::Ended => "ended",
    }
}

fn listed(agents: &[Agent], style: Style, zone: &TimeZone) -> String {
    let rows: Vec<_> = agents
        .iter()
        .map(|agent| {
            let tags: Vec<_> = agent.tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
            vec![
                agent.id.clone(),
                agent.name.clone(),
                agent.process.pid.to_string(),
                state_word(agent.state).into(),
                agent.actions.to_string(),
                time::local_micros(agent.registered_at, zone),
                tags.join(" "),
                agent.process.executable.clone(),
            ]
        })
        .collect();
    let header = [
        "ID",
        "NAME",
        "PID",
        "STATE",
        "ACTIONS",
        "SINCE",
        "TAGS",
        "EXECUTABLE",
    ];
    table::plain(&header, &rows, style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::tests::agent;

    #[test]
    fn agents_are_listed() {
        let agents = [agent("aaaaaaaa", "orders", 4242, ("env", "prod"))];
        assert_eq!(
            listed(&agents, Style::Plain, &TimeZone::UTC),
            "ID        NAME    PID   STATE     ACTIONS  SINCE                      TAGS      EXECUTABLE\n\
             aaaaaaaa  orders  4242  attached  0        1970-01-01 00:00:00+00:00  env=prod  /bin/orders\n"
        );
    }
}
