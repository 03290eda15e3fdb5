//! What the server knows of agents, actions and leases, in memory.
//!
//! Constraints, and what follows from them:
//! - Everything here is done under one lock and none of it waits: no I/O, no await.
//! - An operation changes the memory and returns [`Effects`]: the records to store and the events
//!   to tell. Events are told after the records are committed, by whoever commits them.
//! - An agent learns of changes by the number of its revision, never by a message that could be
//!   lost: its wanted set is computed anew each time.

mod action;
mod agent;
mod agents;
mod batches;
mod check;
mod edit;
mod effects;
mod events;
mod lease;
mod removal;
mod tick;
mod wanted;

pub(crate) use action::ActionRecord;
pub(crate) use agent::AgentRecord;
pub(crate) use batches::BatchContext;
pub(crate) use effects::{Effects, Number, Record, Scope, Stream, Told};
pub(crate) use events::{events_of, live_metric, live_snapshot};
pub(crate) use lease::LeaseHold;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use agent::AgentEntry;
use lease::Leases;

/// The registry behind its lock.
#[derive(Clone, Debug)]
pub(crate) struct SharedRegistry(Arc<Mutex<Registry>>);

impl SharedRegistry {
    pub(crate) fn new(registry: Registry) -> SharedRegistry {
        SharedRegistry(Arc::new(Mutex::new(registry)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Registry> {
        // A panic under the lock leaves records that are whole: they are changed one at a time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Agents, actions and leases.
#[derive(Debug)]
pub(crate) struct Registry {
    agents: HashMap<String, AgentEntry>,
    /// By id; ids are random, so the order means nothing but is stable.
    actions: BTreeMap<String, ActionRecord>,
    leases: Leases,
    /// Where revisions begin: above all of an earlier server, so that none of its is met again.
    first_revision: u64,
}

impl Registry {
    /// The registry as the store remembers it. Leases in it are given `grace` to come back.
    pub(crate) fn restore(
        agents: Vec<AgentRecord>,
        actions: Vec<ActionRecord>,
        now: Instant,
        now_us: i64,
    ) -> Registry {
        let first_revision = u64::try_from(now_us).unwrap_or(1);
        let mut leases = Leases::default();
        for lease in agents
            .iter()
            .filter(|agent| agent.is_live())
            .filter_map(AgentRecord::lease)
        {
            leases.mention(lease, now);
        }
        for action in actions.iter().filter(|action| !action.is_final()) {
            if let Some(lease) = &action.action.lease {
                leases.mention(lease, now);
            }
        }
        Registry {
            agents: agents
                .into_iter()
                .map(|record| (record.id.clone(), AgentEntry::new(record, first_revision)))
                .collect(),
            actions: actions
                .into_iter()
                .map(|mut record| {
                    record.restore_deadline(now, now_us);
                    (record.action.id.clone(), record)
                })
                .collect(),
            leases,
            first_revision,
        }
    }
}

#[cfg(test)]
mod tests;
