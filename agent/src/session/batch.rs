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
    /// [`Numbering::acknowledged`]: what is sent again has the same number.
    pub(crate) fn batch(&mut self, parcel: &Parcel, registered: &Registered) -> Batch {
        if self.session != registered.session {
            *self = Numbering {
                session: registered.session.clone(),
                ..Numbering::default()
            };
        }
        let (mut logs, mut snapshots) = (parcel.logs.clone(), parcel.snapshots.clone());
        let mut metrics = parcel.metrics.clone();
        let seqs = logs.iter_mut().map(|log| &mut log.seq);
        let seqs = seqs.chain(snapshots.iter_mut().map(|snapshot| &mut snapshot.seq));
        let seqs = seqs.chain(metrics.iter_mut().map(|row| &mut row.seq));
        for (seq, number) in seqs.zip(self.events + 1..) {
            *seq = number;
        }
        let mut statuses = parcel.statuses.clone();
        for status in &mut statuses {
            status.agent_id.clone_from(&registered.agent_id);
        }
        Batch {
            session: registered.session.clone(),
            sequence: self.batches + 1,
            sent_at: now_micros(),
            logs,
            snapshots,
            metrics,
            overhead: parcel.overhead.clone(),
            coverage: parcel.coverage.clone(),
            losses: parcel.losses.clone(),
            statuses,
            end: parcel.end.clone(),
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
        let first = numbering.batch(&parcel(), &registered("s"));
        assert_eq!(numbers(&first), (1, vec![1, 2]));
        assert_eq!(first.statuses[0].agent_id, "agent");
        let again = numbering.batch(&parcel(), &registered("s"));
        assert_eq!(numbers(&again), (1, vec![1, 2]));
        numbering.acknowledged(&again);
        let second = numbering.batch(&parcel(), &registered("s"));
        assert_eq!(numbers(&second), (2, vec![3, 4]));
    }

    #[test]
    fn a_new_session_counts_from_one() {
        let mut numbering = Numbering::default();
        let first = numbering.batch(&parcel(), &registered("s"));
        numbering.acknowledged(&first);
        let other = numbering.batch(&parcel(), &registered("t"));
        assert_eq!(numbers(&other), (1, vec![1, 2]));
        assert_eq!(other.session, "t");
    }
}
