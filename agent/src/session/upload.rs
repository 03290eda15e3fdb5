use std::collections::BTreeMap;
use std::time::Duration;

use lr_protocol::Batch;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::batch::Numbering;
use super::{Refusal, Server, Session};
use crate::note::note;
use crate::outbox::Parcel;

/// Between two batches, unless the next is full before.
const PACE: Duration = Duration::from_millis(100);

impl<S: Server> Session<S> {
    /// Sends what is put into the outbox; returns when the end is acknowledged.
    pub(super) async fn upload(&self) {
        let mut numbering = Numbering::default();
        let mut not_before = Instant::now();
        loop {
            self.gather(not_before).await;
            // What comes after a quiet time goes at once, then every `PACE`.
            not_before = Instant::now() + PACE;
            let parcel = self.outbox.take();
            let is_last = parcel.end.is_some();
            self.deliver(parcel, &mut numbering).await;
            if is_last {
                return;
            }
        }
    }

    async fn gather(&self, not_before: Instant) {
        while self.outbox.is_empty() {
            self.outbox.filled().await;
        }
        while Instant::now() < not_before && !self.outbox.is_urgent() {
            tokio::select! {
                () = sleep_until(not_before) => {}
                () = self.outbox.filled() => {}
            }
        }
    }

    /// Sends until it is acknowledged, or refused for what it is.
    async fn deliver(&self, parcel: Parcel, numbering: &mut Numbering) {
        if parcel.is_empty() {
            return;
        }
        let mut backoff = Backoff::default();
        let mut registered = self.registered();
        let mut batch = numbering.batch(parcel, &registered);
        loop {
            match self.server.send_batch(&registered.agent_id, &batch).await {
                Ok(_) => {
                    self.heard();
                    self.last_taken.set(Instant::now());
                    numbering.acknowledged(&batch);
                    return;
                }
                Err(Refusal::UnknownSession) => {
                    self.heard();
                    self.renew(&registered.session).await;
                }
                Err(Refusal::Malformed(why)) => {
                    self.heard();
                    note(&format!(
                        "the server refuses batch {}: {why}",
                        batch.sequence
                    ));
                    if !self.leave_out_what_is_refused(&mut batch) {
                        return;
                    }
                }
                Err(Refusal::Later(why)) => {
                    self.heard();
                    note(&format!("batch {} has to wait: {why}", batch.sequence));
                    backoff.wait().await;
                }
                Err(Refusal::NoWord(why)) => {
                    note(&format!("batch {} has to wait: {why}", batch.sequence));
                    backoff.wait().await;
                }
            }
            registered = self.registered();
            numbering.number(&mut batch, &registered);
        }
    }

    /// Events are the part that a target can make odd: they go first, and are counted. When the
    /// rest alone is refused too, nothing is left to try: then it is false.
    fn leave_out_what_is_refused(&self, batch: &mut Batch) -> bool {
        let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
        let logs = batch.logs.iter().map(|event| &event.action_id);
        let snapshots = batch.snapshots.iter().map(|event| &event.action_id);
        let metrics = batch.metrics.iter().map(|row| &row.action_id);
        for action_id in logs.chain(snapshots).chain(metrics) {
            *refused.entry(action_id).or_default() += 1;
        }
        for (action_id, count) in &refused {
            self.outbox
                .put_loss(Some(action_id), "batch_refused", *count);
        }
        let had_rows =
            !refused.is_empty() || !batch.coverage.is_empty() || !batch.overhead.is_empty();
        batch.logs.clear();
        batch.snapshots.clear();
        batch.metrics.clear();
        batch.overhead.clear();
        batch.coverage.clear();
        let is_empty = batch.losses.is_empty() && batch.statuses.is_empty() && batch.end.is_none();
        had_rows && !is_empty
    }
}
