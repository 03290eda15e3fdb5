use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use duckdb::params;
use lr_protocol::{LiveEvent, LiveLog};

use super::fields;
use super::query::Queries;
use crate::clock::rfc3339;
use crate::live::{Filter, data_line};
use crate::problem::{Answer, Refusal};

/// The most events that are shown again, the newest.
const LIMIT: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(20);

const SQL: &str = "
    FROM (
        SELECT epoch_us(ts) AS us, l.agent_id, l.process_id, action_id,
            coalesce(TRY_CAST(split_part(l.process_id, '-', 1) AS UINTEGER), 0) AS pid,
            tid, thread, file, line, function, level, message, fields, l.session, seq
        FROM store.logs l
        WHERE ts >= now() - to_seconds($1::BIGINT)
            AND ($2 IS NULL OR action_id = $2 OR action = $2)
            AND ($3 IS NULL OR l.agent_id = $3 OR split_part(l.process_id, '-', 1) = $3
                OR l.agent_id IN (SELECT agent_id FROM agents WHERE name = $3))
            AND ($4 IS NULL OR action_id IN (SELECT action_id FROM actions WHERE lease = $4))
        ORDER BY ts DESC, seq DESC LIMIT $5)
    ORDER BY us, seq";

/// Events that were stored, ready to send.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) lines: Vec<Arc<str>>,
    /// The last number of each session that was in it or before it.
    pub(crate) shown: HashMap<String, u64>,
}

/// The stored logs of the last `since_s` seconds that the filter matches.
pub(crate) async fn replay(queries: &Queries, filter: Filter, since_s: u64) -> Answer<Replayed> {
    let failed =
        |error: duckdb::Error| Refusal::internal("cannot replay").detail(error.to_string());
    queries
        .with_connection(TIMEOUT, move |connection, _| {
            let since_s = i64::try_from(since_s)
                .unwrap_or(i64::MAX)
                .min(10 * 365 * 86_400);
            let mut statement = connection.prepare(SQL).map_err(failed)?;
            let mut rows = statement
                .query(params![
                    since_s,
                    filter.action,
                    filter.agent,
                    filter.lease,
                    LIMIT
                ])
                .map_err(failed)?;
            let mut replayed = Replayed::default();
            while let Some(row) = rows.next().map_err(failed)? {
                let (log, session, seq) = read(row).map_err(failed)?;
                replayed.lines.push(data_line(&LiveEvent::Log(log)));
                let shown = replayed.shown.entry(session).or_default();
                *shown = seq.max(*shown);
            }
            Ok(replayed)
        })
        .await
}

fn read(row: &duckdb::Row<'_>) -> duckdb::Result<(LiveLog, String, u64)> {
    let fields: String = row.get("fields")?;
    let log = LiveLog {
        ts: rfc3339(row.get("us")?),
        agent: row.get("agent_id")?,
        process: row.get("process_id")?,
        action: row.get("action_id")?,
        pid: row.get("pid")?,
        tid: row.get("tid")?,
        thread: row.get("thread")?,
        file: row.get("file")?,
        line: row.get("line")?,
        function: row.get("function")?,
        level: row.get("level")?,
        message: row.get("message")?,
        fields: fields::plain(&fields),
    };
    Ok((log, row.get("session")?, row.get("seq")?))
}
