use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::effects::Effects;
use super::{Registry, SharedRegistry};

/// How long a lease outlives its last stream: a client that reconnects keeps what it has.
const RETURN_TIME: Duration = Duration::from_secs(3);
/// How long a lease that was named may take until its stream is opened.
const OPENING_TIME: Duration = Duration::from_secs(10);

/// The leases that clients hold.
#[derive(Debug, Default)]
pub(super) struct Leases(HashMap<String, Lease>);

#[derive(Debug)]
struct Lease {
    streams: u32,
    /// Without a stream it is held until then.
    until: Instant,
    /// Given up by its client, which may still read its stream to the end.
    released: bool,
}

impl Leases {
    /// Notes that something depends on the lease.
    pub(super) fn mention(&mut self, lease: &str, now: Instant) {
        self.0.entry(lease.to_owned()).or_insert(Lease {
            streams: 0,
            until: now + OPENING_TIME,
            released: false,
        });
    }

    pub(super) fn is_held(&self, lease: &str, now: Instant) -> bool {
        self.0
            .get(lease)
            .is_some_and(|lease| !lease.released && (lease.streams > 0 || now < lease.until))
    }

    pub(super) fn is_released(&self, lease: &str) -> bool {
        self.0.get(lease).is_some_and(|lease| lease.released)
    }

    /// How many leases are held by an open stream.
    pub(super) fn open(&self) -> usize {
        self.0
            .values()
            .filter(|lease| lease.streams > 0 && !lease.released)
            .count()
    }

    fn opened(&mut self, lease: &str, now: Instant) {
        self.mention(lease, now);
        if let Some(lease) = self.0.get_mut(lease) {
            lease.streams += 1;
        }
    }

    fn closed(&mut self, lease: &str, now: Instant) {
        if let Some(lease) = self.0.get_mut(lease) {
            lease.streams = lease.streams.saturating_sub(1);
            lease.until = now + RETURN_TIME;
        }
    }

    fn released(&mut self, lease: &str, now: Instant) {
        self.mention(lease, now);
        if let Some(lease) = self.0.get_mut(lease) {
            lease.released = true;
            lease.until = now + RETURN_TIME;
        }
    }

    /// Leases whose client did not come back; those that are over for good are forgotten.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<String> {
        let overdue: Vec<String> = self
            .0
            .iter()
            .filter(|(_, lease)| lease.streams == 0 && now >= lease.until)
            .map(|(name, _)| name.clone())
            .collect();
        for lease in &overdue {
            self.0.remove(lease);
        }
        overdue
    }
}

impl Registry {
    /// Gives a lease up: its actions are removed and its agents may go.
    pub(crate) fn release_lease(&mut self, lease: &str, now: Instant, now_us: i64) -> Effects {
        self.leases.released(lease, now);
        let mut effects = self.remove_lease_actions(lease, now_us);
        effects.append(self.settle_agents(now, now_us));
        effects
    }

    pub(super) fn remove_lease_actions(&mut self, lease: &str, now_us: i64) -> Effects {
        let ids: Vec<String> = self
            .actions
            .values()
            .filter(|record| record.action.lease.as_deref() == Some(lease) && !record.removed)
            .map(|record| record.action.id.clone())
            .collect();
        let mut effects = Effects::default();
        for id in ids {
            effects.append(self.drop_action(&id, now_us));
        }
        effects
    }

    pub(crate) fn open_leases(&self) -> usize {
        self.leases.open()
    }
}

/// Holds a lease while it lives: one open stream of its client.
#[derive(Debug)]
pub(crate) struct LeaseHold {
    registry: SharedRegistry,
    lease: String,
}

impl LeaseHold {
    pub(crate) fn new(registry: SharedRegistry, lease: String) -> LeaseHold {
        registry.lock().leases.opened(&lease, Instant::now());
        LeaseHold { registry, lease }
    }
}

impl Drop for LeaseHold {
    fn drop(&mut self) {
        self.registry
            .lock()
            .leases
            .closed(&self.lease, Instant::now());
    }
}
