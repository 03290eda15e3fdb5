use serde::{Deserialize, Serialize};

use crate::action::{State, StatusError};
use crate::batch::{EndReason, MetricRow};
use crate::snapshot::Snapshot;

/// One line of `--json`, and one server-sent event of `GET /live`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LiveEvent {
    Log(LiveLog),
    Snapshot(LiveSnapshot),
    Metric(LiveMetric),
    Loss(LiveLoss),
    State(LiveState),
    End(LiveEnd),
    #[serde(other)]
    Unknown,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiveLog {
    /// RFC 3339 in UTC, six digits of seconds: `2026-01-02T03:04:05.678901Z`.
    pub ts: String,
    pub agent: String,
    pub process: String,
    pub action: String,
    pub pid: u32,
    pub tid: u32,
    pub thread: String,
    pub file: String,
    pub line: u32,
    pub function: String,
    pub level: String,
    pub message: String,
    /// Name to plain value, in the order of the template.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiveSnapshot {
    pub ts: String,
    /// What `lr show` takes.
    pub id: String,
    pub agent: String,
    pub process: String,
    pub action: String,
    pub pid: u32,
    pub thread: String,
    pub file: String,
    pub line: u32,
    pub function: String,
    pub stop_ns: u64,
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiveMetric {
    pub ts: String,
    pub agent: String,
    pub process: String,
    pub action: String,
    pub name: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    pub group: Option<String>,
    pub observed_ms: u64,
    pub count: u64,
    pub sum: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
}

impl LiveMetric {
    /// What a row tells. `ts` is the row's, in words.
    pub fn of(row: &MetricRow, ts: String, agent: String, process: String) -> LiveMetric {
        #[expect(clippy::cast_precision_loss, reason = "a mean is rounded anyway")]
        let count = row.count as f64;
        LiveMetric {
            ts,
            agent,
            process,
            action: row.action_id.to_string(),
            name: row.name.clone(),
            kind: row.kind.clone(),
            unit: row.unit.clone(),
            group: row.group.clone(),
            observed_ms: row.observed_ms,
            count: row.count,
            sum: row.sum,
            min: row.min,
            max: row.max,
            mean: row.sum.filter(|_| row.count > 0).map(|sum| sum / count),
            p50: row.quantile(0.5),
            p99: row.quantile(0.99),
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiveLoss {
    pub ts: String,
    pub agent: String,
    pub process: String,
    pub action: Option<String>,
    pub reason: String,
    pub count: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiveState {
    pub ts: String,
    pub agent: String,
    pub action: String,
    pub state: State,
    /// Addresses that it is planted at.
    #[serde(default)]
    pub bound: u32,
    #[serde(default)]
    pub warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StatusError>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiveEnd {
    pub ts: String,
    pub agent: String,
    pub process: String,
    pub pid: u32,
    pub reason: EndReason,
    pub message: String,
}
