//! A server in memory that does as a test tells it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use lr_protocol::{
    Batch, BatchAccepted, Linger, ProcessInfo, RegisterAgent, Registered, WantedActions,
};
use tokio::time::{Instant, sleep};

use super::{Refusal, Server};

#[derive(Debug, Default)]
pub(super) struct Fake {
    /// What the next batches are answered with; accepted when there is nothing.
    pub(super) refusals: RefCell<VecDeque<Refusal>>,
    /// Batches in the order of their acceptance, and when that was.
    pub(super) accepted: RefCell<Vec<(Batch, Instant)>>,
    /// Every attempt: session and sequence.
    pub(super) attempts: RefCell<Vec<(String, u64)>>,
    /// Answers to the next questions of what is wanted; then it keeps waiting.
    pub(super) wanted: RefCell<VecDeque<WantedActions>>,
    /// The revisions that were asked for.
    pub(super) asked: RefCell<Vec<u64>>,
    pub(super) registrations: Cell<u32>,
    pub(super) is_silent: Cell<bool>,
    /// How long it takes for a batch, beside a moment.
    pub(super) batch_takes: Cell<Duration>,
}

impl Fake {
    pub(super) fn registered(&self) -> Registered {
        Registered {
            agent_id: "agent".to_owned(),
            session: format!("session-{}", self.registrations.get()),
            protocol_version: 1,
            disarm_after_s: 60,
        }
    }

    /// The next batch that is not refused already.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refusals.borrow_mut().push_back(refusal);
    }

    pub(super) fn messages(&self) -> Vec<String> {
        let accepted = self.accepted.borrow();
        let events = accepted.iter().flat_map(|(batch, _)| &batch.logs);
        events.map(|event| event.message.clone()).collect()
    }

    async fn answer(&self) -> Result<(), Refusal> {
        sleep(Duration::from_millis(1)).await;
        match self.is_silent.get() {
            true => Err(Refusal::NoWord("connection refused".to_owned())),
            false => Ok(()),
        }
    }
}

impl Server for Rc<Fake> {
    async fn register(&self, _: &RegisterAgent) -> Result<Registered, Refusal> {
        self.answer().await?;
        self.registrations.set(self.registrations.get() + 1);
        Ok(self.registered())
    }

    async fn wanted(&self, _: &str, revision: u64) -> Result<WantedActions, Refusal> {
        self.answer().await?;
        self.asked.borrow_mut().push(revision);
        let next = self.wanted.borrow_mut().pop_front();
        if let Some(wanted) = next {
            return Ok(wanted);
        }
        sleep(Duration::from_secs(20)).await;
        self.answer().await?;
        Ok(WantedActions {
            revision,
            ..WantedActions::default()
        })
    }

    async fn send_batch(&self, _: &str, batch: &Batch) -> Result<BatchAccepted, Refusal> {
        self.attempts
            .borrow_mut()
            .push((batch.session.clone(), batch.sequence));
        sleep(self.batch_takes.get()).await;
        self.answer().await?;
        if let Some(refusal) = self.refusals.borrow_mut().pop_front() {
            return Err(refusal);
        }
        self.accepted
            .borrow_mut()
            .push((batch.clone(), Instant::now()));
        Ok(BatchAccepted {
            sequence: batch.sequence,
            duplicate: false,
        })
    }
}

pub(super) fn agent() -> RegisterAgent {
    RegisterAgent {
        protocol_version: 1,
        agent_version: "0".to_owned(),
        name: "orders".to_owned(),
        tags: std::collections::BTreeMap::default(),
        host: "host".to_owned(),
        agent_pid: 1,
        agent_uid: 0,
        process: ProcessInfo {
            process_id: "2-3".to_owned(),
            pid: 2,
            comm: "orders".to_owned(),
            executable: "/srv/orders".to_owned(),
            build_id: String::new(),
            uid: 0,
            start_time: 0,
            container: String::new(),
        },
        linger: Linger::UntilDone,
    }
}
