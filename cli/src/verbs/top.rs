use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use lr_agent::client::{Client, Listing};
use lr_protocol::{Action, Counts, QueryFormat, QueryRequest, State};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::number::number;
use crate::output::print;
use crate::records::records;
use crate::signals::Signals;
use crate::style::Style;
use crate::table;
use crate::verbs::agents::json_lines;

#[derive(Args, Clone, Debug)]
pub(crate) struct Top {
    /// A JSON line for each action, once
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

const PACE: Duration = Duration::from_secs(1);
/// Rows of a screen, for those who have small ones; `--json` has all.
const MOST_ROWS: usize = 40;

/// What the last seconds of each action on each agent were like. An agent says it once a second.
const SQL: &str = "
    SELECT c.action_id, c.agent_id AS agent,
        sum(c.hits)::DOUBLE * 1000 / nullif(sum(c.observed_ms), 0) AS hits_per_second,
        any_value(o.share) AS share
    FROM coverage c LEFT JOIN (
        SELECT action_id, agent_id, avg(share) AS share FROM overhead
        WHERE recv_ts > now() - INTERVAL 4 SECONDS GROUP BY ALL
    ) o ON o.action_id = c.action_id AND o.agent_id = c.agent_id
    WHERE c.recv_ts > now() - INTERVAL 4 SECONDS
    GROUP BY ALL";

#[derive(Deserialize, Clone, Debug)]
struct Recent {
    action_id: String,
    agent: String,
    hits_per_second: Option<f64>,
    share: Option<f64>,
}

/// One action on one agent.
#[derive(Serialize, Clone, PartialEq, Debug)]
struct Busy {
    action: String,
    name: Option<String>,
    kind: &'static str,
    location: String,
    agent: String,
    state: State,
    /// While it was observed; none where it was not.
    hits_per_second: Option<f64>,
    hits: u64,
    kept: u64,
    /// What was reached, held, and was not kept.
    lost: u64,
    /// The part of the time for which threads were stopped for it.
    share: Option<f64>,
}

impl Top {
    /// On a terminal until a signal; elsewhere once.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        if self.json {
            return print(&json_lines(&busy(&client).await?));
        }
        if !std::io::stdout().is_terminal() {
            return print(&shown(&busy(&client).await?, Style::Plain));
        }
        let mut signals = Signals::new()?;
        // Long lines are cut off and not wrapped, while this runs.
        print("\x1b[?7l")?;
        let ended = redraw(&client, &mut signals).await;
        print("\x1b[?7h")?;
        ended
    }
}

async fn redraw(client: &Client, signals: &mut Signals) -> Result<(), Failure> {
    loop {
        let mut busy = busy(client).await?;
        busy.truncate(MOST_ROWS);
        let table = shown(&busy, Style::of_stdout());
        print(&format!("\x1b[H\x1b[J{table}"))?;
        tokio::select! {
            () = signals.next() => return Ok(()),
            () = sleep(PACE) => {}
        }
    }
}

/// The dearest first.
async fn busy(client: &Client) -> Result<Vec<Busy>, Failure> {
    let request = QueryRequest {
        sql: SQL.to_owned(),
        params: BTreeMap::new(),
        max_rows: None,
        format: QueryFormat::Json,
    };
    let recent: Vec<Recent> = records(&client.query(&request).await?)?;
    let actions = client.actions(Listing::Current).await?;
    Ok(together(&actions, &recent))
}

fn together(actions: &[Action], recent: &[Recent]) -> Vec<Busy> {
    let mut all = Vec::new();
    for action in actions {
        for status in &action.statuses {
            let is_of =
                |recent: &&Recent| recent.action_id == action.id && recent.agent == status.agent_id;
            let recent = recent.iter().find(is_of);
            let Counts {
                hits,
                kept,
                rate_limited,
                over_budget,
                dropped,
                condition_error,
                condition_false: _,
            } = status.counts;
            all.push(Busy {
                action: action.id.clone(),
                name: action.spec.name.clone(),
                kind: action.spec.kind.word(),
                location: action.spec.kind.location().to_owned(),
                agent: status.agent_id.clone(),
                state: status.state,
                hits_per_second: recent.and_then(|recent| recent.hits_per_second),
                hits,
                kept,
                lost: rate_limited + over_budget + dropped + condition_error,
                share: recent.and_then(|recent| recent.share),
            });
        }
    }
    let cost = |busy: &Busy| busy.share.unwrap_or(-1.0);
    all.sort_by(|a, b| cost(b).total_cmp(&cost(a)).then(b.hits.cmp(&a.hits)));
    all
}

fn shown(busy: &[Busy], style: Style) -> String {
    let rows: Vec<_> = busy
        .iter()
        .map(|busy| {
            vec![
                busy.action.clone(),
                busy.name.clone().unwrap_or_default(),
                busy.kind.into(),
                busy.location.clone(),
                busy.agent.clone(),
                busy.state.word().into(),
                busy.hits_per_second.map(number).unwrap_or_default(),
                busy.hits.to_string(),
                busy.kept.to_string(),
                busy.lost.to_string(),
                busy.share
                    .map(|share| format!("{:.2} %", share * 100.0))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    let header = [
        "ID", "NAME", "KIND", "LOCATION", "ON", "STATE", "HITS/S", "HITS", "KEPT", "LOST",
        "STOPPED",
    ];
    table::plain(&header, &rows, style)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn action(id: &str, hits: u64) -> Action {
        let status = json!({"agent_id": "g", "action_id": id, "action_version": 1, "state": "hit",
            "updated_at": 0, "counts": {"hits": hits, "condition_false": 1, "condition_error": 2,
            "rate_limited": 3, "over_budget": 0, "dropped": 4, "kept": 5}});
        serde_json::from_value(json!({
            "id": id, "version": 1, "kind": "counter", "location": "f\u{1b}", "name": id,
            "target": {"agent": "g"}, "enabled": true, "created_at": 0, "expires_at": 0,
            "created_by": "me", "statuses": [status],
        }))
        .unwrap()
    }

    #[test]
    fn the_dearest_is_first_and_what_was_not_observed_has_no_rate() {
        let recent = [Recent {
            action_id: "b".into(),
            agent: "g".into(),
            hits_per_second: Some(12.5),
            share: Some(0.0123),
        }];
        let busy = together(&[action("a", 99), action("b", 15)], &recent);
        assert_eq!(
            shown(&busy, Style::Plain),
            "ID  NAME  KIND     LOCATION  ON  STATE  HITS/S  HITS  KEPT  LOST  STOPPED\n\
             b   b     counter  f\\u{1b}   g   hit    12.5    15    5     9     1.23 %\n\
             a   a     counter  f\\u{1b}   g   hit            99    5     9\n"
        );
    }
}
