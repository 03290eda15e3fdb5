use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a user asks for. An edit makes a new version of the whole; nothing is changed in place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ActionSpec {
    #[serde(flatten)]
    pub kind: ActionKind,
    /// An expression; only hits where it holds count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Matching hits after which the action is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hits: Option<u64>,
    /// Seconds after creation at which it expires; the default is an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// Events per second (logs: 50 unless said); bursts may be twice that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    #[serde(default)]
    pub ignore_quota: bool,
    #[serde(default)]
    pub output: Output,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActionKind {
    Log(LogSpec),
    Snapshot(SnapshotSpec),
    Counter(CounterSpec),
    Metric(MetricSpec),
    /// A kind that this version does not have.
    #[serde(other)]
    Unknown,
}

impl ActionKind {
    /// The word for it, as in JSON and in tables.
    pub fn word(&self) -> &'static str {
        match self {
            ActionKind::Log(_) => "log",
            ActionKind::Snapshot(_) => "snapshot",
            ActionKind::Counter(_) => "counter",
            ActionKind::Metric(_) => "metric",
            ActionKind::Unknown => "unknown",
        }
    }

    /// Where it is placed; empty where that is not known.
    pub fn location(&self) -> &str {
        match self {
            ActionKind::Log(log) => &log.location,
            ActionKind::Snapshot(snapshot) => &snapshot.location,
            ActionKind::Counter(counter) => &counter.location,
            ActionKind::Metric(metric) => &metric.location,
            ActionKind::Unknown => "",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogSpec {
    /// `file:line[:column]`, `function`, `function+offset`, `0xaddress`, `module!location`.
    pub location: String,
    pub template: String,
    #[serde(default)]
    pub level: Level,
}

/// The stack of a thread, and the variables in it. Done after one unless `max_hits` says more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SnapshotSpec {
    pub location: String,
    /// Expressions that are told with larger limits than what is in scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<String>,
    /// The other threads' stacks, where they can be had without disturbing them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all_threads: bool,
    /// rax to r15 and rip; a right of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub registers: bool,
}

/// How often a line is passed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CounterSpec {
    pub location: String,
    /// An expression; hits are counted for each of its values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Statistics of a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MetricSpec {
    pub location: String,
    /// A number, or what counts as one: integers, floats, bools, enumerations.
    pub expression: String,
    /// An expression; there are statistics for each of its values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// As people write it: `ms`, `bytes`. Not interpreted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// Where events go.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    #[default]
    Server,
    /// The agent's standard output, as JSON lines.
    Stdout,
    /// The server and the agent's standard output.
    Both,
    /// A file on the agent's host, as JSON lines.
    File(String),
}

/// `POST /actions`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewAction {
    #[serde(flatten)]
    pub spec: ActionSpec,
    pub target: ActionTarget,
    /// The client whose going away ends this action; without one it stays until it is done,
    /// expired or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
}

/// `PUT /actions/{id}`: the whole of a new version. It expires as a new action would.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EditAction {
    /// The version that it was made from; if there is another by now, the edit is refused.
    pub version: u32,
    #[serde(flatten)]
    pub spec: ActionSpec,
}

/// `POST /actions/{id}/duplicate`: what of the new action is to be different.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct DuplicateAction {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ActionTarget>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
}

/// The answer to `POST /actions/stop`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stopped {
    /// The actions that were removed.
    pub actions: Vec<String>,
}

/// Which agents an action is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionTarget {
    Agent(String),
    /// `key=value`: every agent that carries it.
    Tag(String),
}

/// An action as the server knows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Action {
    pub id: String,
    /// Counts edits, from 1.
    pub version: u32,
    #[serde(flatten)]
    pub spec: ActionSpec,
    pub target: ActionTarget,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    pub enabled: bool,
    pub created_at: i64,
    pub expires_at: i64,
    /// Who asked for it: a user's name.
    pub created_by: String,
    /// One per agent that it reached.
    #[serde(default)]
    pub statuses: Vec<ActionStatus>,
}

/// What one agent says of one action.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ActionStatus {
    pub agent_id: String,
    pub action_id: String,
    pub action_version: u32,
    pub state: State,
    pub updated_at: i64,
    #[serde(default)]
    pub counts: Counts,
    #[serde(default)]
    pub bound: Vec<BoundAddress>,
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Present where the state is `error`, or `disabled` by us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StatusError>,
    /// What went wrong with a hit last, in words; the action goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Present where the state is `paused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<i64>,
    /// Of a costly action: how often its line was passed in a second before the action was let
    /// loose on it, while each pass stopped its thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes_per_second: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Submitted,
    Delivered,
    /// The agent has parsed, typed and costed it against every address; nothing is planted yet.
    Verified,
    /// Nothing to bind to is loaded yet.
    Pending,
    Bound,
    Hit,
    Done,
    Expired,
    Disabled,
    Paused,
    Error,
    Removed,
    /// The process that it was bound in is gone.
    Gone,
    #[serde(other)]
    Unknown,
}

impl State {
    /// Whether nothing more will come of the action on that agent.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            State::Done | State::Expired | State::Error | State::Removed | State::Gone
        )
    }

    pub fn word(self) -> &'static str {
        match self {
            State::Submitted => "submitted",
            State::Delivered => "delivered",
            State::Verified => "verified",
            State::Pending => "pending",
            State::Bound => "bound",
            State::Hit => "hit",
            State::Done => "done",
            State::Expired => "expired",
            State::Disabled => "disabled",
            State::Paused => "paused",
            State::Error => "error",
            State::Removed => "removed",
            State::Gone => "gone",
            State::Unknown => "unknown",
        }
    }
}

/// What became of the hits: `hits` is the sum of the others where every hit was observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    pub hits: u64,
    pub condition_false: u64,
    pub condition_error: u64,
    pub rate_limited: u64,
    pub over_budget: u64,
    pub dropped: u64,
    pub kept: u64,
}

/// Where an action is planted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BoundAddress {
    pub module: String,
    /// `0x…`, in the target.
    pub address: String,
    pub function: String,
    pub file: String,
    pub line: u32,
    /// How a thread goes on after a hit: `emulate`, `twin`, `borrow`, `in_place`.
    pub resume: String,
}

/// Why an action cannot do what was asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StatusError {
    /// Stable, from `docs/errors.md`.
    pub code: String,
    /// What of the action it is about: `location`, `template`, `condition`.
    #[serde(default)]
    pub refers_to: String,
    pub message: String,
    #[serde(default)]
    pub suggestions: Vec<String>,
}
