use std::collections::BTreeMap;
use std::time::Instant;

use lr_protocol::{AgentState, End, Linger, ProcessInfo};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::effects::Record;

/// An agent as it is stored: serialized for our own database, not for the wire.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct AgentRecord {
    pub(crate) id: String,
    pub(crate) session: String,
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) host: String,
    pub(crate) agent_version: String,
    pub(crate) agent_pid: u32,
    pub(crate) agent_uid: u32,
    pub(crate) process: ProcessInfo,
    pub(crate) linger: Linger,
    pub(crate) state: AgentState,
    pub(crate) registered_at: i64,
    pub(crate) last_seen: i64,
    #[serde(default)]
    pub(crate) detach_requested: bool,
    /// The start time of the agent's own process where that runs on this host, in clock ticks
    /// since boot: with the pid, it tells whether the agent still lives.
    #[serde(default)]
    pub(crate) local_start: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<End>,
}

impl AgentRecord {
    /// Whether it is attached, or may be.
    pub(crate) fn is_live(&self) -> bool {
        self.state != AgentState::Ended
    }

    /// The lease that it stays for.
    pub(crate) fn lease(&self) -> Option<&str> {
        match &self.linger {
            Linger::Lease(lease) => Some(lease),
            Linger::UntilDone | Linger::UntilDetached => None,
        }
    }

    /// Whether it carries the tag `key=value`.
    pub(crate) fn carries(&self, tag: &str) -> bool {
        tag.split_once('=')
            .is_some_and(|(key, value)| self.tags.get(key).is_some_and(|own| own == value))
    }

    pub(crate) fn record(&self) -> Record {
        Record {
            table: "agents",
            id: self.id.clone(),
            json: serde_json::to_string(self).expect("records have string keys only"),
        }
    }
}

/// An agent in memory.
#[derive(Debug)]
pub(super) struct AgentEntry {
    pub(super) record: AgentRecord,
    /// The number of its wanted set; the agent waits for another.
    pub(super) revision: watch::Sender<u64>,
    pub(super) heard: Instant,
    /// Whether it was told to let go.
    pub(super) told_to_detach: bool,
}

impl AgentEntry {
    pub(super) fn new(record: AgentRecord, revision: u64) -> AgentEntry {
        AgentEntry {
            told_to_detach: record.state == AgentState::Detaching,
            record,
            revision: watch::Sender::new(revision),
            heard: Instant::now(),
        }
    }

    /// Makes the agent fetch its wanted set again.
    pub(super) fn bump(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }
}
