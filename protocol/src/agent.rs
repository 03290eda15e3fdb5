use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::action::ActionSpec;

/// `POST /agents`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RegisterAgent {
    pub protocol_version: u32,
    /// Of the `lr` that the agent is.
    pub agent_version: String,
    /// `--as`; the command's name if none was given.
    pub name: String,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    pub host: String,
    pub agent_pid: u32,
    pub agent_uid: u32,
    pub process: ProcessInfo,
    pub linger: Linger,
}

/// When an agent is told to let go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linger {
    /// While this lease is held, or any action on it is not final (`lr attach`).
    Lease(String),
    /// Until it is detached, or the last of the actions that it was given is final
    /// (`lr attach --background` with actions of its own).
    UntilDone,
    /// Until it is detached, whatever becomes of its actions (`lr attach --background`).
    UntilDetached,
}

/// The process that an agent is attached to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// `pid-starttime`, with the start in clock ticks since boot (proc(5), stat field 22).
    pub process_id: String,
    pub pid: u32,
    pub comm: String,
    pub executable: String,
    /// Hexadecimal; empty if the executable has none.
    pub build_id: String,
    pub uid: u32,
    /// Microseconds since the Unix epoch.
    pub start_time: i64,
    /// The container's id from the cgroup path; empty outside one.
    #[serde(default)]
    pub container: String,
}

/// The answer to `POST /agents`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Registered {
    pub agent_id: String,
    /// Names this registration; batches are numbered within it.
    pub session: String,
    /// The version that both speak.
    pub protocol_version: u32,
    /// Seconds without word from the server after which the agent disarms.
    pub disarm_after_s: u64,
}

/// An agent as clients see it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Agent {
    pub id: String,
    pub session: String,
    pub name: String,
    pub tags: BTreeMap<String, String>,
    pub host: String,
    pub agent_version: String,
    pub agent_pid: u32,
    pub process: ProcessInfo,
    pub state: AgentState,
    pub registered_at: i64,
    pub last_seen: i64,
    /// Actions on it that are not final.
    pub actions: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    Attached,
    /// Told to let go, not yet gone.
    Detaching,
    /// Has not been heard of for longer than it may.
    Silent,
    Ended,
}

/// The answer to `GET /agents/{id}/wanted?revision=N`, which waits (up to 20 s) until there is a
/// revision other than `N`. The whole set each time: what is not in it is to be removed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WantedActions {
    pub revision: u64,
    pub actions: Vec<WantedAction>,
    /// Let go of the process and end.
    #[serde(default)]
    pub detach: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WantedAction {
    pub action_id: String,
    pub version: u32,
    pub spec: ActionSpec,
    pub enabled: bool,
    /// Milliseconds from now; a duration, because clocks differ.
    pub expires_in_ms: u64,
    /// What other agents have left of `max_hits`; what an agent has kept itself, it subtracts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hits_left: Option<u64>,
}
