use lr_protocol::{Batch, Registered};

use crate::clock::now_micros;
use crate::outbox::Parcel;

/// Counts the batches and events of one session.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Numbering {
    session: String,
    batches: u64,
    events: u64,
}

impl Numbering {
    /// The parcel as the next batch of the session that is current now. It is not counted before
    /// [`Numbering::acknowledged`].
    pub(crate) fn batch(&mut self, parcel: Parcel, registered: &Registered) -> Batch {
        let mut batch = Batch {
            session: String::new(),
            sequence: 0,
            sent_at: 0,
            logs: parcel.logs,
            snapshots: parcel.snapshots,
            metrics: parcel.metrics,
            overhead: parcel.overhead,
            coverage: parcel.coverage,
            losses: parcel.losses,
            statuses: parcel.statuses,
            end: parcel.end,
        };
        self.number(&mut batch, registered);
        batch
    }

    /// Makes it that of the session that is current now, before it is sent, and sent again: within
    /// a session it keeps its numbers.
    pub(crate) fn number(&mut self, batch: &mut Batch, registered: &Registered) {
        if self.session != registered.session {
            *self = Numbering {
                session: registered.session.clone(),
                ..Numbering::default()
            };
        }
        batch.session.clone_from(&registered.session);
        batch.sequence = self.batches + 1;
        batch.sent_at = now_micros();
        let logs = batch.logs.iter_mut().map(|log| &mut log.seq);
        let snapshots = batch.snapshots.iter_mut().map(|snapshot| &mut snapshot.seq);
        let metrics = batch.metrics.iter_mut().map(|row| &mut row.seq);
        for (seq, number) in logs.chain(snapshots).chain(metrics).zip(self.events + 1..) {
            *seq = number;
        }
        for status in &mut batch.statuses {
            status.agent_id.clone_from(&registered.agent_id);
        }
    }

    pub(crate) fn acknowledged(&mut self, batch: &Batch) {
        self.batches = batch.sequence;
        let events = batch.logs.len() + batch.snapshots.len() + batch.metrics.len();
        self.events += events as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::tests::{event, status};
    use lr_protocol::State;

    fn registered(session: &str) -> Registered {
        Registered {
            agent_id: "agent".to_owned(),
            session: session.to_owned(),
            protocol_version: 1,
            disarm_after_s: 60,
        }
    }

    fn parcel() -> Parcel {
        Parcel {
            logs: vec![event("x"), event("y")],
            statuses: vec![status("a", State::Hit)],
            ..Parcel::default()
        }
    }

    fn numbers(batch: &Batch) -> (u64, Vec<u64>) {
        let seqs = batch.logs.iter().map(|event| event.seq).collect();
        (batch.sequence, seqs)
    }

    #[test]
    fn numbers_go_on_only_when_a_batch_is_acknowledged() {
        let mut numbering = Numbering::default();
        let mut first = numbering.batch(parcel(), &registered("s"));
        assert_eq!(numbers(&first), (1, vec![1, 2]));
        assert_eq!(first.statuses[0].agent_id, "agent");
        numbering.number(&mut first, &registered("s"));
        assert_eq!(numbers(&first), (1, vec![1, 2]));
        numbering.acknowledged(&first);
        let second = numbering.batch(parcel(), &registered("s"));
        assert_eq!(numbers(&second), (2, vec![3, 4]));
    }

    #[test]
    fn a_new_session_counts_from_one() {
        let mut numbering = Numbering::default();
        let first = numbering.batch(parcel(), &registered("s"));
        numbering.acknowledged(&first);
        let mut other = numbering.batch(parcel(), &registered("s"));
        assert_eq!(numbers(&other), (2, vec![3, 4]));
        // The server has forgotten the session.
        numbering.number(&mut other, &registered("t"));
        assert_eq!(numbers(&other), (1, vec![1, 2]));
        assert_eq!(other.session, "t");
    }
}
