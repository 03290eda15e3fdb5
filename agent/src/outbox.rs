//! What waits to be sent: the one thing that the thread with the tracer and the one with the
//! network share.
//!
//! Its size is bounded. Events beyond it are refused, newest first, and counted by who offers
//! them; everything else is small and is merged instead of lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use lr_protocol::{
    ActionStatus, Coverage, End, LogEvent, Loss, MetricRow, Overhead, SnapshotEvent,
};
use tokio::sync::Notify;

use crate::clock::now_micros;
use crate::event::Event;

#[derive(Debug)]
pub(crate) struct Outbox {
    limits: Limits,
    waiting: Mutex<Waiting>,
    /// Somebody put something in.
    filled: Notify,
    /// Somebody put the end in.
    ending: Notify,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    pub(crate) event_bytes: usize,
    /// Rows of coverage; an hour of one action, or a minute of sixty.
    pub(crate) coverage: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            events: 50_000,
            event_bytes: 32 << 20,
            coverage: 3600,
        }
    }
}

/// The outbox did not take the event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// What one batch carries. Who takes it is responsible for it.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Parcel {
    pub(crate) logs: Vec<LogEvent>,
    pub(crate) snapshots: Vec<SnapshotEvent>,
    pub(crate) metrics: Vec<MetricRow>,
    pub(crate) overhead: Vec<Overhead>,
    pub(crate) coverage: Vec<Coverage>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) statuses: Vec<ActionStatus>,
    pub(crate) end: Option<End>,
}

impl Parcel {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Parcel::default()
    }
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    event_bytes: usize,
    /// Events put in and taken out since the beginning.
    put: u64,
    taken: u64,
    statuses: VecDeque<DueStatus>,
    coverage: VecDeque<Coverage>,
    overhead: VecDeque<Overhead>,
    losses: BTreeMap<(Option<String>, &'static str), u64>,
    end: Option<End>,
}

/// A status is not told before the events that led to it.
#[derive(Debug)]
struct DueStatus {
    /// Events that have to be taken first.
    after: u64,
    status: ActionStatus,
}

/// A batch carries at most this many events, and about this many bytes of them: as JSON a byte may
/// become six (`\u0001`), and a server takes 8 MiB.
pub(crate) const BATCH_EVENTS: usize = 2000;
const BATCH_BYTES: usize = 1 << 20;

impl Outbox {
    pub(crate) fn new(limits: Limits) -> Outbox {
        Outbox {
            limits,
            waiting: Mutex::default(),
            filled: Notify::new(),
            ending: Notify::new(),
        }
    }

    pub(crate) fn put_event(&self, event: impl Into<Event>) -> Result<(), Full> {
        let event = event.into();
        let bytes = event.size();
        let mut waiting = self.lock();
        if waiting.events.len() >= self.limits.events
            || waiting.event_bytes + bytes > self.limits.event_bytes
        {
            return Err(Full);
        }
        waiting.event_bytes += bytes;
        waiting.put += 1;
        waiting.events.push_back(event);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Replaces an older status of the action that still waits.
    pub(crate) fn put_status(&self, status: ActionStatus) {
        let mut waiting = self.lock();
        let put = waiting.put;
        let older = waiting
            .statuses
            .iter_mut()
            .find(|due| due.status.action_id == status.action_id);
        match older {
            Some(due) => {
                // Otherwise a status that is renewed each second would never become due.
                if status.state.is_final() {
                    due.after = put;
                }
                due.status = status;
            }
            None => waiting.statuses.push_back(DueStatus { after: put, status }),
        }
        drop(waiting);
        self.filled.notify_one();
    }

    pub(crate) fn put_coverage(&self, row: Coverage) {
        let mut waiting = self.lock();
        let is_full = waiting.coverage.len() >= self.limits.coverage;
        let same = |known: &&mut Coverage| {
            (&known.action_id, known.action_version) == (&row.action_id, row.action_version)
        };
        match waiting.coverage.iter_mut().rev().find(same) {
            Some(known) if is_full => merge(known, &row),
            _ => waiting.coverage.push_back(row),
        }
        drop(waiting);
        self.filled.notify_one();
    }

    pub(crate) fn put_overhead(&self, row: Overhead) {
        let mut waiting = self.lock();
        let is_full = waiting.overhead.len() >= self.limits.coverage;
        let same = |known: &&mut Overhead| known.action_id == row.action_id;
        match waiting.overhead.iter_mut().rev().find(same) {
            Some(known) if is_full => merge_overhead(known, &row),
            _ => waiting.overhead.push_back(row),
        }
        drop(waiting);
        self.filled.notify_one();
    }

    pub(crate) fn put_loss(&self, action_id: Option<&str>, reason: &'static str, count: u64) {
        if count == 0 {
            return;
        }
        let key = (action_id.map(str::to_owned), reason);
        *self.lock().losses.entry(key).or_default() += count;
        self.filled.notify_one();
    }

    /// Nothing is put in after this.
    pub(crate) fn put_end(&self, end: End) {
        self.lock().end = Some(end);
        self.filled.notify_one();
        self.ending.notify_one();
    }

    /// Returns once something was put in since the last time.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Returns once the end was put in.
    pub(crate) async fn ending(&self) {
        self.ending.notified().await;
    }

    pub(crate) fn is_empty(&self) -> bool {
        let waiting = self.lock();
        waiting.events.is_empty()
            && waiting.overhead.is_empty()
            && waiting.statuses.is_empty()
            && waiting.coverage.is_empty()
            && waiting.losses.is_empty()
            && waiting.end.is_none()
    }

    /// Whether waiting for more would not make the next batch better.
    pub(crate) fn is_urgent(&self) -> bool {
        let waiting = self.lock();
        waiting.events.len() >= BATCH_EVENTS
            || waiting.event_bytes >= BATCH_BYTES
            || waiting.end.is_some()
    }

    /// Takes what fits into one batch, oldest first; the end goes when all else has gone.
    pub(crate) fn take(&self) -> Parcel {
        let mut waiting = self.lock();
        let mut parcel = Parcel::default();
        for event in waiting.take_events() {
            match event {
                Event::Log(log) => parcel.logs.push(log),
                Event::Snapshot(snapshot) => parcel.snapshots.push(*snapshot),
                Event::Metric(row) => parcel.metrics.push(*row),
            }
        }
        parcel.statuses = waiting.take_statuses();
        parcel.coverage = std::mem::take(&mut waiting.coverage).into();
        parcel.overhead = std::mem::take(&mut waiting.overhead).into();
        let ts = now_micros();
        parcel.losses = std::mem::take(&mut waiting.losses)
            .into_iter()
            .map(|((action_id, reason), count)| Loss {
                ts,
                action_id,
                reason: reason.to_owned(),
                count,
            })
            .collect();
        if waiting.events.is_empty() {
            parcel.end = waiting.end.take();
        }
        parcel
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A thread that panicked left whole entries: each change above is one statement.
        self.waiting
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Waiting {
    fn take_events(&mut self) -> Vec<Event> {
        let mut bytes = 0;
        let mut count = 0;
        for event in self.events.iter().take(BATCH_EVENTS) {
            bytes += event.size();
            if count > 0 && bytes > BATCH_BYTES {
                break;
            }
            count += 1;
        }
        let events: Vec<Event> = self.events.drain(..count).collect();
        self.event_bytes -= events.iter().map(Event::size).sum::<usize>();
        self.taken += count as u64;
        events
    }

    fn take_statuses(&mut self) -> Vec<ActionStatus> {
        let taken = self.taken;
        let all = std::mem::take(&mut self.statuses);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|due| due.after <= taken);
        self.statuses = later.into();
        due.into_iter().map(|due| due.status).collect()
    }
}

/// Of the shares the larger is told: of how much time each was is not known any more.
fn merge_overhead(known: &mut Overhead, row: &Overhead) {
    known.stops += row.stops;
    known.stop_ns += row.stop_ns;
    known.max_stop_ns = known.max_stop_ns.max(row.max_stop_ns);
    known.share = known.share.max(row.share);
}

fn merge(known: &mut Coverage, row: &Coverage) {
    known.observed_ms += row.observed_ms;
    known.hits += row.hits;
    known.matched += row.matched;
    known.kept += row.kept;
    known.rate_limited += row.rate_limited;
    known.over_budget += row.over_budget;
    known.dropped += row.dropped;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lr_protocol::{Counts, EndReason, Level, State};

    pub(crate) fn event(message: &str) -> LogEvent {
        LogEvent {
            ts: 1,
            seq: 0,
            action_id: "a".into(),
            action_version: 1,
            tid: 1,
            thread: "main".into(),
            file: "a.c".into(),
            line: 1,
            function: "f".into(),
            level: Level::Info,
            message: message.to_owned(),
            fields: Vec::new(),
        }
    }

    pub(crate) fn status(action_id: &str, state: State) -> ActionStatus {
        ActionStatus {
            agent_id: String::new(),
            action_id: action_id.to_owned(),
            action_version: 1,
            state,
            updated_at: 1,
            counts: Counts::default(),
            bound: Vec::new(),
            warnings: Vec::new(),
            error: None,
            last_error: None,
            paused_until: None,
            passes_per_second: None,
        }
    }

    pub(crate) fn end() -> End {
        End {
            ts: 1,
            reason: EndReason::Detached,
            message: "asked to".to_owned(),
            restored: 0,
        }
    }

    fn row(hits: u64) -> Coverage {
        Coverage {
            ts: 1,
            action_id: "a".to_owned(),
            action_version: 1,
            observed_ms: 1000,
            hits,
            matched: 0,
            kept: 0,
            rate_limited: 0,
            over_budget: 0,
            dropped: 0,
        }
    }

    fn states(parcel: &Parcel) -> Vec<State> {
        parcel.statuses.iter().map(|status| status.state).collect()
    }

    #[test]
    fn events_beyond_the_limit_are_refused_until_there_is_room() {
        let outbox = Outbox::new(Limits {
            events: 2,
            ..Limits::default()
        });
        assert_eq!(outbox.put_event(event("1")), Ok(()));
        assert_eq!(outbox.put_event(event("2")), Ok(()));
        assert_eq!(outbox.put_event(event("3")), Err(Full));
        assert_eq!(outbox.take().logs.len(), 2);
        assert_eq!(outbox.put_event(event("4")), Ok(()));
    }

    #[test]
    fn bytes_are_limited_too() {
        let outbox = Outbox::new(Limits {
            event_bytes: 1000,
            ..Limits::default()
        });
        assert_eq!(outbox.put_event(event(&"x".repeat(900))), Err(Full));
        assert_eq!(outbox.put_event(event(&"x".repeat(100))), Ok(()));
    }

    #[test]
    fn a_batch_is_bounded_and_the_rest_follows_in_order() {
        let outbox = Outbox::new(Limits::default());
        for number in 0..BATCH_EVENTS + 500 {
            outbox.put_event(event(&number.to_string())).unwrap();
        }
        assert!(outbox.is_urgent());
        let (first, second) = (outbox.take(), outbox.take());
        assert_eq!((first.logs.len(), second.logs.len()), (BATCH_EVENTS, 500));
        assert_eq!(second.logs[0].message, BATCH_EVENTS.to_string());
        assert!(outbox.take().is_empty());
    }

    #[test]
    fn a_status_waits_for_the_events_before_it() {
        let outbox = Outbox::new(Limits::default());
        for _ in 0..=BATCH_EVENTS {
            outbox.put_event(event("x")).unwrap();
        }
        outbox.put_status(status("a", State::Done));
        outbox.put_end(end());
        let first = outbox.take();
        assert_eq!((states(&first), first.end), (vec![], None));
        let second = outbox.take();
        assert_eq!(states(&second), [State::Done]);
        assert_eq!(second.end, Some(end()));
    }

    #[test]
    fn a_newer_status_replaces_the_one_that_waits() {
        let outbox = Outbox::new(Limits::default());
        outbox.put_status(status("a", State::Bound));
        outbox.put_status(status("b", State::Error));
        // Renewed behind many events, it still goes with the first batch.
        for _ in 0..1500 {
            outbox.put_event(event("x")).unwrap();
        }
        outbox.put_status(status("a", State::Hit));
        assert_eq!(states(&outbox.take()), [State::Hit, State::Error]);
    }

    #[test]
    fn losses_add_up_and_coverage_is_merged_when_there_is_much() {
        let outbox = Outbox::new(Limits {
            coverage: 2,
            ..Limits::default()
        });
        for _ in 0..3 {
            outbox.put_loss(Some("a"), "queue_full", 2);
            outbox.put_coverage(row(5));
        }
        outbox.put_loss(None, "batch_refused", 0);
        let parcel = outbox.take();
        assert_eq!(parcel.losses.len(), 1);
        assert_eq!(parcel.losses[0].count, 6);
        let hits: Vec<u64> = parcel.coverage.iter().map(|row| row.hits).collect();
        assert_eq!(hits, [5, 10]);
        assert_eq!(parcel.coverage[1].observed_ms, 2000);
    }
}
