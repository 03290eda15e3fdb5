use serde::{Deserialize, Serialize};

use crate::action::{ActionStatus, Level};
use crate::name::Name;
use crate::snapshot::Snapshot;
use crate::value::Field;

/// `POST /agents/{id}/batches`: what an agent has to tell, in order. The server answers after the
/// commit; the same `(agent, session, sequence)` twice is stored once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Batch {
    pub session: String,
    /// From 1, without gaps.
    pub sequence: u64,
    /// The agent's clock when it was sent.
    pub sent_at: i64,
    #[serde(default)]
    pub logs: Vec<LogEvent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotEvent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overhead: Vec<Overhead>,
    #[serde(default)]
    pub coverage: Vec<Coverage>,
    #[serde(default)]
    pub losses: Vec<Loss>,
    /// The newest status of each action that changed since the last batch.
    #[serde(default)]
    pub statuses: Vec<ActionStatus>,
    /// The last batch of a session says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LogEvent {
    pub ts: i64,
    /// Counts the session's events, from 1.
    pub seq: u64,
    pub action_id: Name,
    pub action_version: u32,
    pub tid: u32,
    pub thread: Name,
    pub file: Name,
    pub line: u32,
    pub function: Name,
    pub level: Level,
    pub message: String,
    pub fields: Vec<Field>,
}

/// What a thread was doing when it hit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SnapshotEvent {
    pub ts: i64,
    /// Counts the session's events, from 1; with the session it is the snapshot's name.
    pub seq: u64,
    pub action_id: Name,
    pub action_version: u32,
    pub thread: Name,
    pub file: Name,
    pub line: u32,
    pub function: Name,
    /// The same for stacks of the same functions and lines; 16 hexadecimal digits.
    pub stack_hash: String,
    /// Nanoseconds for which the thread stood still.
    pub stop_ns: u64,
    pub snapshot: Snapshot,
}

/// One second of a counter or a metric, for one group. A second without hits has one row with a
/// count of zero.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MetricRow {
    pub ts: i64,
    /// Counts the session's events, from 1.
    pub seq: u64,
    pub action_id: Name,
    pub action_version: u32,
    /// `kind:function:line` unless the action has a name.
    pub name: String,
    /// `counter` or `metric`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The value of `by`, as text; none without `by`, `other` where there were too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Milliseconds during which the action was planted.
    pub observed_ms: u64,
    /// Hits that have a value.
    pub count: u64,
    /// These are of metrics alone, and absent where nothing was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hist: Vec<HistogramBucket>,
    /// Nanoseconds that threads were stopped for it.
    pub stop_ns: u64,
}

impl MetricRow {
    /// [`HistogramBucket::quantile`] of its values, and not beyond `min` and `max`.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let value = HistogramBucket::quantile(&self.hist, q)?;
        let value = self.min.map_or(value, |min| value.max(min));
        Some(self.max.map_or(value, |max| value.min(max)))
    }
}

/// So many values from `lo` up to `hi`, which is in the next one. Bounds are the same in every
/// histogram, so that they can be merged by adding.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct HistogramBucket {
    pub lo: f64,
    pub hi: f64,
    pub n: u64,
}

impl HistogramBucket {
    /// A value that a part of `q` of the values are at most, between the bounds of its bucket as if
    /// the bucket were evenly filled; of one without an end, its beginning. `None` where there are
    /// no values. The same as `lr_quantile` computes of what is stored.
    pub fn quantile(buckets: &[HistogramBucket], q: f64) -> Option<f64> {
        let mut buckets: Vec<&HistogramBucket> = buckets.iter().filter(|b| b.n > 0).collect();
        buckets.sort_by(|a, b| a.lo.total_cmp(&b.lo));
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rank within a bucket is an estimate"
        )]
        let number = |n: u64| n as f64;
        let total: f64 = buckets.iter().map(|bucket| number(bucket.n)).sum();
        let rank = q * total;
        let mut before = 0.0;
        for bucket in &buckets {
            let n = number(bucket.n);
            if before + n >= rank {
                let width = bucket.hi - bucket.lo;
                let share = (rank - before).max(0.0) / n;
                return Some(match width.is_finite() {
                    true => bucket.lo + width * share,
                    false => bucket.lo,
                });
            }
            before += n;
        }
        // Only rounding leads here.
        buckets.last().map(|bucket| bucket.hi)
    }
}

/// What an action's stops cost the target in one second.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Overhead {
    pub ts: i64,
    pub action_id: String,
    pub stops: u64,
    pub stop_ns: u64,
    pub max_stop_ns: u64,
    /// Of the wall time, summed over threads: 0.01 is a hundredth.
    pub share: f64,
}

/// One action's second: what of it was observed, and what became of the hits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Coverage {
    pub ts: i64,
    pub action_id: String,
    pub action_version: u32,
    /// Milliseconds during which the action was planted.
    pub observed_ms: u64,
    pub hits: u64,
    pub matched: u64,
    pub kept: u64,
    pub rate_limited: u64,
    pub over_budget: u64,
    pub dropped: u64,
}

/// Events that are missing, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Loss {
    pub ts: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_id: Option<String>,
    /// `ring_full`, `queue_full`, `rate_limited`, `over_budget`, `batch_refused`, `condition_error`, `too_large`,
    /// `output_failed`; of snapshots `went_on`, `too_many_held`; of metrics `no_value`,
    /// `not_finite`; of what was counted `tracer_died`.
    pub reason: String,
    pub count: u64,
}

/// How an attachment ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    pub ts: i64,
    pub reason: EndReason,
    /// One line for people.
    pub message: String,
    /// Sites whose bytes were put back and read again as the file's.
    pub restored: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Asked to, or nothing left to do.
    Detached,
    /// The process exited by itself.
    Exited,
    /// The process was killed by a signal.
    Killed,
    /// The process runs another program now.
    Execed,
    /// The agent gave up; the message says why.
    Failed,
    #[serde(other)]
    Unknown,
}

/// The answer to a batch, sent after the commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BatchAccepted {
    pub sequence: u64,
    /// Whether it had been stored before.
    #[serde(default)]
    pub duplicate: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hist: &[(f64, f64, u64)], min: f64, max: f64) -> MetricRow {
        MetricRow {
            ts: 0,
            seq: 0,
            action_id: Name::default(),
            action_version: 1,
            name: String::new(),
            kind: "metric".to_owned(),
            unit: String::new(),
            group: None,
            observed_ms: 1000,
            count: hist.iter().map(|(.., n)| n).sum(),
            sum: None,
            min: Some(min),
            max: Some(max),
            hist: hist
                .iter()
                .map(|&(lo, hi, n)| HistogramBucket { lo, hi, n })
                .collect(),
            stop_ns: 0,
        }
    }

    #[test]
    fn quantiles_lie_in_their_bucket_and_in_what_was_seen() {
        let row = row(&[(16.0, 18.0, 50), (1.0, 2.0, 50)], 1.5, 17.0);
        assert_eq!(row.quantile(0.0), Some(1.5));
        assert_eq!(row.quantile(0.25), Some(1.5));
        assert_eq!(row.quantile(0.5), Some(2.0));
        assert_eq!(row.quantile(0.625), Some(16.5));
        assert_eq!(row.quantile(1.0), Some(17.0));
    }

    #[test]
    fn a_bucket_without_an_end_is_its_beginning() {
        let mut open = row(&[(1.0, f64::INFINITY, 1)], 1.0, 9.0);
        assert_eq!(open.quantile(0.99), Some(1.0));
        (open.min, open.max) = (None, None);
        assert_eq!(open.quantile(0.0), Some(1.0));
    }

    #[test]
    fn of_nothing_there_is_no_quantile() {
        assert_eq!(row(&[], 0.0, 0.0).quantile(0.5), None);
        assert_eq!(row(&[(1.0, 2.0, 0)], 0.0, 0.0).quantile(0.5), None);
    }
}
