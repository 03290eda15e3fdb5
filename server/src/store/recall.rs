//! Stored rows as the events that they were.

use std::time::Duration;

use duckdb::Row;
use lr_protocol::{
    HistogramBucket, LiveEvent, LiveLog, LiveSnapshot, MetricRow, Name, Snapshot, SnapshotEvent,
};
use serde::de::DeserializeOwned;

use super::fields;
use super::query::Queries;
use crate::clock::rfc3339;
use crate::problem::{Answer, Refusal};
use crate::registry::{BatchContext, Number, Stream, live_metric, live_snapshot};

pub(super) const LOGS: &str = "
    SELECT epoch_us(ts) AS us, e.session, seq, e.agent_id, e.process_id, action_id, tid, thread,
        file, line, function, level, message, fields
    FROM store.logs e";
pub(super) const SNAPSHOTS: &str = "
    SELECT epoch_us(ts) AS us, e.session, seq, e.agent_id, e.process_id, action_id, action_version,
        thread, file, line, function, stack_hash, stop_ns, snapshot
    FROM store.snapshots e";
pub(super) const METRICS: &str = "
    SELECT epoch_us(ts) AS us, e.session, seq, e.agent_id, e.process_id, action_id, action_version,
        name, kind, unit, group_key, observed_ms, count, sum, min, max, stop_ns, hist
    FROM store.metrics e";

const TIMEOUT: Duration = Duration::from_secs(20);

/// An event that was stored.
#[derive(Debug)]
pub(super) struct Recalled {
    pub(super) us: i64,
    pub(super) number: Number,
    pub(super) event: LiveEvent,
}

/// The snapshot of an id: its session and number.
pub(crate) async fn snapshot_of(queries: &Queries, id: String) -> Answer<LiveSnapshot> {
    let unknown =
        || Refusal::not_found(format!("no snapshot {id}")).suggest("lr snapshots lists them");
    let (session, seq) = id
        .split_once('-')
        .and_then(|(session, seq)| Some((session.to_owned(), seq.parse::<u64>().ok()?)))
        .ok_or_else(unknown)?;
    let found = queries
        .with_connection(TIMEOUT, move |connection, _| {
            let read = || -> duckdb::Result<Option<Recalled>> {
                let sql = format!("{SNAPSHOTS} WHERE e.session = ? AND seq = ? LIMIT 1");
                let mut statement = connection.prepare(&sql)?;
                let mut rows = statement.query(duckdb::params![session, seq])?;
                rows.next()?.map(snapshot).transpose()
            };
            read().map_err(|error| {
                Refusal::internal("cannot read the snapshot").detail(error.to_string())
            })
        })
        .await?;
    match found.map(|found| found.event) {
        Some(LiveEvent::Snapshot(snapshot)) => Ok(snapshot),
        _ => Err(unknown()),
    }
}

pub(super) fn log(row: &Row<'_>) -> duckdb::Result<Recalled> {
    let fields: String = row.get("fields")?;
    let context = context(row)?;
    let us = row.get("us")?;
    let event = LiveLog {
        ts: rfc3339(us),
        agent: context.agent_id.to_string(),
        process: context.process_id,
        action: row.get("action_id")?,
        pid: context.pid,
        tid: row.get("tid")?,
        thread: row.get("thread")?,
        file: row.get("file")?,
        line: row.get("line")?,
        function: row.get("function")?,
        level: row.get("level")?,
        message: row.get("message")?,
        fields: fields::plain(&fields),
    };
    Ok(Recalled {
        us,
        number: number(Stream::Logs, row)?,
        event: LiveEvent::Log(event),
    })
}

pub(super) fn snapshot(row: &Row<'_>) -> duckdb::Result<Recalled> {
    let us = row.get("us")?;
    let json: String = row.get("snapshot")?;
    let event = SnapshotEvent {
        ts: us,
        seq: row.get("seq")?,
        action_id: name(row, "action_id")?,
        action_version: row.get("action_version")?,
        thread: name(row, "thread")?,
        file: name(row, "file")?,
        line: row.get("line")?,
        function: name(row, "function")?,
        stack_hash: row.get("stack_hash")?,
        stop_ns: row.get("stop_ns")?,
        snapshot: read_json::<Snapshot>(&json)?,
    };
    Ok(Recalled {
        us,
        number: number(Stream::Snapshots, row)?,
        event: LiveEvent::Snapshot(live_snapshot(&context(row)?, &event)),
    })
}

fn name(row: &Row<'_>, column: &str) -> duckdb::Result<Name> {
    Ok(Name::from(row.get::<_, String>(column)?))
}

pub(super) fn metric(row: &Row<'_>) -> duckdb::Result<Recalled> {
    let us = row.get("us")?;
    let hist: Option<String> = row.get("hist")?;
    let metric = MetricRow {
        ts: us,
        seq: row.get("seq")?,
        action_id: name(row, "action_id")?,
        action_version: row.get("action_version")?,
        name: row.get("name")?,
        kind: row.get("kind")?,
        unit: row.get::<_, Option<String>>("unit")?.unwrap_or_default(),
        group: row.get("group_key")?,
        observed_ms: row.get("observed_ms")?,
        count: row.get("count")?,
        sum: row.get("sum")?,
        min: row.get("min")?,
        max: row.get("max")?,
        hist: match hist {
            Some(hist) => read_json::<Vec<HistogramBucket>>(&hist)?,
            None => Vec::new(),
        },
        stop_ns: row.get("stop_ns")?,
    };
    Ok(Recalled {
        us,
        number: number(Stream::Metrics, row)?,
        event: LiveEvent::Metric(live_metric(&context(row)?, &metric)),
    })
}

fn number(stream: Stream, row: &Row<'_>) -> duckdb::Result<Number> {
    Ok(Number {
        stream,
        session: row.get::<_, String>("session")?.into(),
        seq: row.get("seq")?,
    })
}

fn context(row: &Row<'_>) -> duckdb::Result<BatchContext> {
    let process_id: String = row.get("process_id")?;
    let pid = process_id
        .split('-')
        .next()
        .and_then(|pid| pid.parse().ok());
    Ok(BatchContext {
        agent_id: row.get::<_, String>("agent_id")?.into(),
        session: row.get::<_, String>("session")?.into(),
        pid: pid.unwrap_or(0),
        process_id,
    })
}

fn read_json<T: DeserializeOwned>(text: &str) -> duckdb::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        duckdb::Error::FromSqlConversionFailure(0, duckdb::types::Type::Text, Box::new(error))
    })
}
