mod details;
mod loss;
mod why;

use clap::Args;
use jiff::tz::TimeZone;
use lr_agent::client::Listing;
use lr_protocol::{Action, ActionTarget, Agent, Counts, State};

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::output::print;
use crate::selector;
use crate::style::Style;
use crate::table;
use crate::tell::tell;
use crate::time;
use crate::verbs::agents::json_lines;

use details::{Around, details};

#[derive(Args, Clone, Debug)]
pub(crate) struct Actions {
    /// One, by its id or name, with everything about it
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Also those that are done, expired or removed
    #[arg(long)]
    all: bool,
    /// A JSON line for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Actions {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let (style, zone) = (Style::of_stdout(), TimeZone::system());
        if let Some(id) = &self.id {
            let action = selector::action(&client, id).await?;
            if self.json {
                return print(&json_lines(&[action]));
            }
            let agents = client.agents(Listing::All).await?;
            let carry = |agent: &&Agent| {
                let mut statuses = action.statuses.iter();
                statuses.any(|status| status.agent_id == agent.id && !status.state.is_final())
            };
            let stopped = agents.iter().filter(carry);
            let stopped = stopped.filter(|agent| why::is_stopped(&client, agent));
            let around = Around {
                stopped: stopped.map(|agent| agent.id.clone()).collect(),
                agents,
                seen: why::seen(&client, &action).await?,
                spent: why::spent(&client, &action).await?,
                lost: why::lost(&client, &action).await?,
            };
            return print(&details(&action, &around, style, &zone));
        }
        let listing = match self.all {
            true => Listing::All,
            false => Listing::Current,
        };
        let actions = client.actions(listing).await?;
        if self.json {
            return print(&json_lines(&actions));
        }
        if actions.is_empty() {
            tell!("no actions; `lr actions --all` lists those that have ended");
            return Ok(());
        }
        print(&listed(&actions, style, &zone))
    }
}

fn listed(actions: &[Action], style: Style, zone: &TimeZone) -> String {
    let rows: Vec<_> = actions
        .iter()
        .map(|action| {
            let counts = total(action);
            vec![
                action.id.clone(),
                action.spec.kind.word().into(),
                action.spec.name.clone().unwrap_or_default(),
                location(action).into(),
                states(action),
                counts.hits.to_string(),
                counts.kept.to_string(),
                target(action),
                time::local_micros(action.expires_at, zone),
            ]
        })
        .collect();
    let header = [
        "ID", "KIND", "NAME", "LOCATION", "STATE", "HITS", "KEPT", "ON", "EXPIRES",
    ];
    table::plain(&header, &rows, style)
}

fn location(action: &Action) -> &str {
    action.spec.kind.location()
}

fn target(action: &Action) -> String {
    match &action.target {
        ActionTarget::Agent(id) => id.clone(),
        ActionTarget::Tag(tag) => format!("tag:{tag}"),
    }
}

/// The one state, or how many agents have which.
fn states(action: &Action) -> String {
    match action.statuses.as_slice() {
        [] => State::Submitted.word().into(),
        [one] => one.state.word().into(),
        many => {
            let mut words: Vec<_> = many.iter().map(|status| status.state.word()).collect();
            words.sort_unstable();
            let counted = words.chunk_by(|a, b| a == b);
            let counted: Vec<_> = counted
                .map(|same| format!("{} {}", same.len(), same[0]))
                .collect();
            counted.join(", ")
        }
    }
}

fn total(action: &Action) -> Counts {
    let mut total = Counts::default();
    for Counts { hits, kept, .. } in action.statuses.iter().map(|status| status.counts) {
        total.hits += hits;
        total.kept += kept;
    }
    total
}

#[cfg(test)]
mod tests {
    use lr_protocol::{
        ActionKind, ActionSpec, ActionStatus, BoundAddress, Level, LogSpec, Output, StatusError,
    };

    use super::*;

    fn status(agent: &str, state: State) -> ActionStatus {
        ActionStatus {
            agent_id: agent.into(),
            action_id: "bbbbbbbb".into(),
            action_version: 1,
            state,
            updated_at: 0,
            counts: Counts {
                hits: 12,
                kept: 10,
                rate_limited: 2,
                ..Counts::default()
            },
            bound: vec![BoundAddress {
                module: "orders".into(),
                address: "0x5555".into(),
                function: "process_order".into(),
                file: "orders.c".into(),
                line: 9,
                resume: "emulate".into(),
            }],
            warnings: vec!["one copy is inlined".into()],
            error: None,
            last_error: None,
            paused_until: None,
            passes_per_second: None,
        }
    }

    fn action(statuses: Vec<ActionStatus>) -> Action {
        Action {
            id: "bbbbbbbb".into(),
            version: 1,
            spec: ActionSpec {
                kind: ActionKind::Log(LogSpec {
                    location: "orders.c:9".into(),
                    template: "id={o.id}".into(),
                    level: Level::Info,
                }),
                condition: Some("o.id > 3".into()),
                name: Some("sold".into()),
                tags: Default::default(),
                max_hits: Some(10),
                expires_in_s: None,
                rate: None,
                ignore_quota: false,
                output: Output::Server,
            },
            target: ActionTarget::Agent("aaaaaaaa".into()),
            lease: None,
            enabled: true,
            created_at: 0,
            expires_at: 3_600_000_000,
            created_by: "me".into(),
            statuses,
        }
    }

    #[test]
    fn actions_are_listed() {
        let actions = [action(vec![status("aaaaaaaa", State::Hit)])];
        assert_eq!(
            listed(&actions, Style::Plain, &TimeZone::UTC),
            "ID        KIND  NAME  LOCATION    STATE  HITS  KEPT  ON        EXPIRES\n\
             bbbbbbbb  log   sold  orders.c:9  hit    12    10    aaaaaaaa  1970-01-01 01:00:00+00:00\n"
        );
    }

    #[test]
    fn several_agents_are_counted_by_state() {
        assert_eq!(states(&action(Vec::new())), "submitted");
        let many = ["a", "b", "c"].map(|agent| {
            status(
                agent,
                if agent == "b" {
                    State::Error
                } else {
                    State::Bound
                },
            )
        });
        assert_eq!(states(&action(many.to_vec())), "2 bound, 1 error");
    }

    #[test]
    fn one_is_shown_with_everything_about_it() {
        let mut failed = status("aaaaaaaa", State::Error);
        failed.error = Some(StatusError {
            code: "unknown_variable".into(),
            refers_to: "template".into(),
            message: "no variable `p`".into(),
            suggestions: vec!["o".into()],
        });
        failed.bound.clear();
        failed.agent_id = "cccccccc".into();
        let around = Around {
            agents: Vec::new(),
            stopped: Vec::new(),
            seen: vec![why::Seen {
                agent: "aaaaaaaa".into(),
                observed_ms: 58_500,
                hits: 0,
            }],
            spent: vec![why::Spent {
                agent: "aaaaaaaa".into(),
                share: 0.004_321,
                longest_ns: 62_400,
            }],
            lost: vec![why::Lost {
                agent: "aaaaaaaa".into(),
                reason: "ring_full".into(),
                count: 3,
            }],
        };
        let shown = details(
            &action(vec![status("aaaaaaaa", State::Hit), failed]),
            &around,
            Style::Plain,
            &TimeZone::UTC,
        );
        let expected = "\
action    bbbbbbbb (version 1)
kind      log
location  orders.c:9
template  id={o.id}
level     info
name      sold
if        o.id > 3
hits      at most 10
on        aaaaaaaa
by        me at 1970-01-01 00:00:00+00:00
expires   1970-01-01 01:00:00+00:00

hit on aaaaaaaa since 1970-01-01 00:00:00+00:00
  12 hits, 10 kept, 2 over the rate limit
  last minute: observed for 58.5 s, 0 hits
  stops took 0.43 % of the time of the 1 % that it may, the longest 0.062 ms
  lost: 3 ring_full: they came faster than they are read
  0x5555 process_order at orders.c:9 (orders, emulate)
  warning: one copy is inlined
  why nothing comes: its place was not reached within the last minute
  why not all: more hits than 50 a second; `lr edit bbbbbbbb --rate N` keeps more

error on cccccccc since 1970-01-01 00:00:00+00:00
  12 hits, 10 kept, 2 over the rate limit
  warning: one copy is inlined
  error[unknown_variable]: no variable `p`
    tried: log `sold` (template)
    hint: o
  why not all: more hits than 50 a second; `lr edit bbbbbbbb --rate N` keeps more
";
        assert_eq!(shown, expected);
    }
}
