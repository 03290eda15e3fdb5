//! Why an action does not fire, in one sentence.

use std::collections::BTreeMap;

use lr_agent::client::{Client, ClientError, Endpoint};
use lr_agent::host;
use lr_protocol::{
    Action, ActionStatus, ActionTarget, Agent, AgentState, Counts, Output, QueryFormat,
    QueryRequest, QueryResult, State,
};
use serde::Deserialize;

use crate::escape::escaped;
use crate::failure::Failure;
use crate::records::records;

/// What was seen of an action's version on an agent in the last minute.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub(super) struct Seen {
    pub(super) agent: String,
    /// Milliseconds during which it was planted.
    pub(super) observed_ms: u64,
    pub(super) hits: u64,
}

/// What an action's stops have cost on an agent in the last minute, or since it began if that is
/// later.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub(super) struct Spent {
    pub(super) agent: String,
    /// Of the time: 0.01 is a hundredth.
    pub(super) share: f64,
    pub(super) longest_ns: u64,
}

/// Events that are missing, since the action began.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(super) struct Lost {
    pub(super) agent: String,
    pub(super) reason: String,
    pub(super) count: u64,
}

/// What agents keep of a log or snapshot each second where nothing is said.
const DEFAULT_RATE: f64 = 50.0;

const SEEN: &str = "
    SELECT agent_id AS agent, sum(observed_ms)::UBIGINT AS observed_ms, sum(hits)::UBIGINT AS hits
    FROM coverage
    WHERE action_id = $action AND action_version = $version::UINTEGER AND recv_ts > now() - INTERVAL 1 MINUTE GROUP BY ALL";
const SPENT: &str = "
    SELECT agent_id AS agent, max(max_stop_ns)::UBIGINT AS longest_ns,
        sum(stop_ns) / 1e9 / greatest(1.0, epoch(now()) - epoch(min(ts)) + 1.0) AS share
    FROM overhead
    WHERE action_id = $action AND recv_ts > now() - INTERVAL 1 MINUTE GROUP BY ALL";
const LOST: &str = "
    SELECT agent_id AS agent, reason, sum(count)::UBIGINT AS count
    FROM losses WHERE action_id = $action GROUP BY ALL ORDER BY reason";

pub(super) async fn seen(client: &Client, action: &Action) -> Result<Vec<Seen>, Failure> {
    let version = ("version".to_owned(), action.version.to_string());
    records(&query(client, SEEN, action, Some(version)).await?)
}

pub(super) async fn spent(client: &Client, action: &Action) -> Result<Vec<Spent>, Failure> {
    records(&query(client, SPENT, action, None).await?)
}

pub(super) async fn lost(client: &Client, action: &Action) -> Result<Vec<Lost>, Failure> {
    records(&query(client, LOST, action, None).await?)
}

async fn query(
    client: &Client,
    sql: &str,
    action: &Action,
    more: Option<(String, String)>,
) -> Result<QueryResult, ClientError> {
    let mut params = BTreeMap::from([("action".to_owned(), action.id.clone())]);
    params.extend(more);
    client
        .query(&QueryRequest {
            sql: sql.to_owned(),
            params,
            max_rows: None,
            format: QueryFormat::Json,
        })
        .await
}

/// Why nothing comes of an action on an agent; `None` where something does, or where the error
/// says it already.
pub(super) fn why(
    action: &Action,
    status: &ActionStatus,
    agent: Option<&Agent>,
    seen: Option<&Seen>,
    is_stopped: bool,
) -> Option<String> {
    let id = &action.id;
    if agent.is_some_and(|agent| agent.state == AgentState::Silent) && !status.state.is_final() {
        return Some("its agent has not been heard of for a minute, and has let go by now".into());
    }
    let why = match status.state {
        State::Error | State::Unknown => return None,
        State::Submitted => "its agent has not fetched it yet".into(),
        State::Delivered | State::Verified => "its agent is looking for its place".into(),
        State::Pending => "the module or file that it is for is not loaded yet".into(),
        State::Done => why_done(action),
        State::Expired => format!("its time is over; `lr retake {id}` starts it again"),
        State::Removed => format!("it was removed; `lr duplicate {id}` makes another like it"),
        State::Gone => "its process is gone; `lr attach` attaches to its successor".into(),
        State::Disabled => format!("it is switched off; `lr enable {id}` switches it on"),
        State::Paused => {
            format!(
                "it takes more of the process's time than it may, and is taken out now and then; \
                 `lr edit {id} --ignore-quota` takes it all the same"
            )
        }
        State::Bound | State::Hit if is_stopped => {
            let pid = agent.map_or(0, |agent| agent.process.pid);
            format!("its process is stopped; `kill -CONT {pid}` lets it go on")
        }
        State::Bound | State::Hit => return why_bound(action, status, seen),
    };
    Some(why)
}

fn why_bound(action: &Action, status: &ActionStatus, seen: Option<&Seen>) -> Option<String> {
    let counts = &status.counts;
    if counts.hits == 0 {
        return Some(format!(
            "its place was never reached since it was planted; the addresses above are all that \
             `{}` means",
            escaped(action.spec.kind.location())
        ));
    }
    if counts.kept == 0 {
        let most = [
            (counts.condition_false, "the condition never held"),
            (counts.condition_error, "the condition never has a value"),
            (counts.over_budget, "all hits were over the budget of time"),
            (counts.rate_limited, "all hits were over the rate limit"),
            (
                counts.dropped,
                "all hits were lost on the way, as the losses above say",
            ),
        ];
        let most = most.into_iter().max_by_key(|(count, _)| *count);
        let (count, why) = most?;
        return match &status.last_error {
            _ if count == 0 => None,
            Some(error) if count == counts.condition_error => Some(escaped(error).into()),
            _ => Some(why.into()),
        };
    }
    match seen {
        Some(seen) if seen.hits == 0 && seen.observed_ms > 0 => {
            Some("its place was not reached within the last minute".into())
        }
        _ => elsewhere(&action.spec.output),
    }
}

fn why_done(action: &Action) -> String {
    let id = &action.id;
    let each = match action.target {
        ActionTarget::Agent(_) => "",
        ActionTarget::Tag(_) => " (each agent counts its own)",
    };
    format!("it has had all its hits{each}; `lr retake {id}` starts it again")
}

/// Why less comes of an action than there are hits.
pub(super) fn why_not_all(action: &Action, counts: &Counts) -> Option<String> {
    let id = &action.id;
    (counts.kept > 0 && counts.rate_limited > 0).then(|| {
        format!(
            "more hits than {} a second; `lr edit {id} --rate N` keeps more",
            action.spec.rate.unwrap_or(DEFAULT_RATE)
        )
    })
}

fn elsewhere(output: &Output) -> Option<String> {
    match output {
        Output::Server | Output::Both => None,
        Output::Stdout => Some("its events go to the agent's standard output alone".into()),
        Output::File(path) => Some(format!("its events go to {} alone", escaped(path))),
    }
}

/// Whether an agent's process is stopped, as far as that can be seen from here.
pub(super) fn is_stopped(client: &Client, agent: &Agent) -> bool {
    let process = &agent.process;
    let is_here = matches!(client.endpoint(), Endpoint::Unix(_))
        && host::process_id(process.pid).is_ok_and(|found| found == process.process_id);
    is_here && host::is_stopped(process.pid)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(state: &str, counts: serde_json::Value, expected: Option<&str>) {
        check_with("server", false, state, counts, expected);
    }

    fn check_with(
        output: &str,
        is_stopped: bool,
        state: &str,
        counts: serde_json::Value,
        expected: Option<&str>,
    ) {
        let counts = {
            let mut all = json!({"hits": 0, "condition_false": 0, "condition_error": 0,
                "rate_limited": 0, "over_budget": 0, "dropped": 0, "kept": 0});
            for (name, count) in counts.as_object().unwrap() {
                all[name] = count.clone();
            }
            all
        };
        let status = json!({"agent_id": "a", "action_id": "b", "action_version": 1,
            "state": state, "updated_at": 0, "counts": counts});
        let action: Action = serde_json::from_value(json!({
            "id": "b", "version": 1, "kind": "counter", "location": "f", "target": {"agent": "a"},
            "enabled": true, "created_at": 0, "expires_at": 0, "created_by": "me",
            "statuses": [status], "output": output,
        }))
        .unwrap();
        let seen = Seen {
            agent: "a".into(),
            observed_ms: 60_000,
            hits: u64::from(output != "server"),
        };
        let found = why(&action, &action.statuses[0], None, Some(&seen), is_stopped);
        match (&found, expected) {
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
            _ => assert_eq!(found.is_some(), expected.is_some(), "{found:?}"),
        }
    }

    #[test]
    fn every_state_has_its_reason() {
        let none = || json!({});
        check("submitted", none(), Some("not fetched"));
        check("delivered", none(), Some("looking"));
        check("pending", none(), Some("not loaded"));
        check("done", none(), Some("lr retake b"));
        check("expired", none(), Some("lr retake b"));
        check("removed", none(), Some("lr duplicate b"));
        check("disabled", none(), Some("lr enable b"));
        check("paused", none(), Some("--ignore-quota"));
        check("gone", none(), Some("lr attach"));
        check("error", none(), None);
    }

    #[test]
    fn a_process_that_is_stopped_and_events_that_go_elsewhere() {
        check_with("server", true, "bound", json!({}), Some("kill -CONT"));
        check_with("server", true, "done", json!({}), Some("lr retake b"));
        let some = || json!({"hits": 5, "kept": 5});
        check_with("stdout", false, "hit", some(), Some("standard output"));
        check_with("both", false, "hit", some(), None);
    }

    #[test]
    fn what_is_not_kept_is_told_too() {
        let action = |rate: serde_json::Value| -> Action {
            serde_json::from_value(json!({
                "id": "b", "version": 1, "kind": "log", "location": "f", "template": "x",
                "target": {"tag": "a=b"}, "enabled": true, "created_at": 0, "expires_at": 0,
                "created_by": "me", "statuses": [], "rate": rate,
            }))
            .unwrap()
        };
        let counts = |kept: u64, rate_limited: u64| Counts {
            hits: kept + rate_limited,
            kept,
            rate_limited,
            ..Counts::default()
        };
        let why = why_not_all(&action(json!(2)), &counts(1, 5)).unwrap();
        assert!(why.contains("2 a second; `lr edit b --rate N`"), "{why}");
        let why = why_not_all(&action(json!(null)), &counts(1, 5)).unwrap();
        assert!(why.contains("50 a second"), "{why}");
        assert_eq!(why_not_all(&action(json!(2)), &counts(6, 0)), None);
        assert!(why_done(&action(json!(2))).contains("each agent counts its own"));
    }

    #[test]
    fn what_is_bound_is_told_by_its_counts() {
        check("bound", json!({}), Some("never reached"));
        check(
            "hit",
            json!({"hits": 5, "condition_false": 5}),
            Some("never held"),
        );
        check(
            "hit",
            json!({"hits": 5, "condition_false": 2, "condition_error": 3}),
            Some("never has a value"),
        );
        check(
            "hit",
            json!({"hits": 5, "kept": 5}),
            Some("within the last minute"),
        );
    }
}
