use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use duckdb::{Connection, Row, params};

use super::query::Queries;
use super::recall::{self, Recalled};
use crate::live::{Filter, data_line};
use crate::problem::{Answer, Refusal};
use crate::registry::{Number, Stream};

/// The most events of a kind that are shown again, the newest.
const LIMIT: u32 = 10_000;
/// Snapshots are large.
const SNAPSHOT_LIMIT: u32 = 50;
const TIMEOUT: Duration = Duration::from_secs(20);

/// Which rows a filter means; behind it stands what was asked of them.
const WHERE: &str = "
    WHERE ts >= now() - to_seconds($1::BIGINT)
        AND ($2 IS NULL OR action_id = $2 OR action = $2)
        AND ($3 IS NULL OR e.agent_id = $3 OR split_part(e.process_id, '-', 1) = $3
            OR e.agent_id IN (SELECT agent_id FROM agents WHERE name = $3))
        AND ($4 IS NULL OR action_id IN (SELECT action_id FROM actions WHERE lease = $4))
    ORDER BY ts DESC, seq DESC LIMIT $5";

/// Events that were stored, ready to send.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) lines: Vec<Arc<str>>,
    pub(crate) shown: Shown,
}

/// The last numbers that were in a replay or before it.
#[derive(Debug, Default)]
pub(crate) struct Shown(HashMap<(Stream, Arc<str>), u64>);

impl Shown {
    /// Whether the replay has shown an event.
    pub(crate) fn has(&self, number: &Number) -> bool {
        self.0
            .get(&(number.stream, number.session.clone()))
            .is_some_and(|last| number.seq <= *last)
    }

    fn note(&mut self, number: Number) {
        let last = self.0.entry((number.stream, number.session)).or_default();
        *last = number.seq.max(*last);
    }
}

/// What was seen in the last `since_s` seconds that the filter matches, in the order of time.
pub(crate) async fn replay(queries: &Queries, filter: Filter, since_s: u64) -> Answer<Replayed> {
    queries
        .with_connection(TIMEOUT, move |connection, _| {
            let read = || -> duckdb::Result<Vec<Recalled>> {
                let mut events = select(
                    connection,
                    recall::LOGS,
                    recall::log,
                    &filter,
                    since_s,
                    LIMIT,
                )?;
                events.extend(select(
                    connection,
                    recall::SNAPSHOTS,
                    recall::snapshot,
                    &filter,
                    since_s,
                    SNAPSHOT_LIMIT,
                )?);
                events.extend(select(
                    connection,
                    recall::METRICS,
                    recall::metric,
                    &filter,
                    since_s,
                    LIMIT,
                )?);
                Ok(events)
            };
            let mut events = read()
                .map_err(|error| Refusal::internal("cannot replay").detail(error.to_string()))?;
            events.sort_by_key(|event| (event.us, event.number.seq));
            let mut replayed = Replayed::default();
            for event in events {
                replayed.lines.push(data_line(&event.event));
                replayed.shown.note(event.number);
            }
            Ok(replayed)
        })
        .await
}

fn select(
    connection: &Connection,
    from: &str,
    read: fn(&Row<'_>) -> duckdb::Result<Recalled>,
    filter: &Filter,
    since_s: u64,
    limit: u32,
) -> duckdb::Result<Vec<Recalled>> {
    let since_s = i64::try_from(since_s)
        .unwrap_or(i64::MAX)
        .min(10 * 365 * 86_400);
    let mut statement = connection.prepare(&format!("{from} {WHERE}"))?;
    let mut rows = statement.query(params![
        since_s,
        filter.action,
        filter.agent,
        filter.lease,
        limit
    ])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read(row)?);
    }
    Ok(events)
}
