use std::sync::Arc;

use lr_protocol::LiveEvent;

/// What an operation on the registry asks to be stored and told.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) records: Vec<Record>,
    pub(crate) events: Vec<Told>,
}

impl Effects {
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.events.is_empty()
    }

    pub(crate) fn append(&mut self, mut other: Effects) {
        self.records.append(&mut other.records);
        self.events.append(&mut other.events);
    }
}

/// A whole record that replaces the stored one.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) table: &'static str,
    pub(crate) id: String,
    pub(crate) json: String,
}

/// An event and whom it concerns.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) event: LiveEvent,
    pub(crate) scope: Arc<Scope>,
    /// Of what is stored as an event, by which a replay knows what it has shown already.
    pub(crate) number: Option<Number>,
}

/// Which event it is of its kind and session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Number {
    pub(crate) stream: Stream,
    pub(crate) session: Arc<str>,
    pub(crate) seq: u64,
}

/// Events that are stored in one table, in which a replay looks at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stream {
    Logs,
    Snapshots,
    Metrics,
}

/// Whom an event concerns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) agent_id: String,
    pub(crate) agent_name: String,
    pub(crate) pid: u32,
    pub(crate) action_id: String,
    pub(crate) action_name: String,
    pub(crate) leases: Vec<String>,
}
