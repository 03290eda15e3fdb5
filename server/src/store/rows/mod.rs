//! The rows that a batch becomes.

mod counts;
mod leaf;
mod log;
mod metric;
mod snapshot;

use duckdb::types::{TimeUnit, Value};
use duckdb::{Appender, Connection};

use super::writer::BatchJob;

/// The pool that everything belongs to until there are others.
const POOL: &str = "default";

/// Appends a row that begins with the columns that all tables of events have; `$at` has the time,
/// the number, the action and its version.
macro_rules! append_row {
    ($appender:expr, $common:expr, $at:expr $(, $value:expr)* $(,)?) => {{
        let (common, at): (&$crate::store::rows::Common<'_>, _) = ($common, &$at);
        $appender.append_row(duckdb::params![
            $crate::store::rows::time(at.ts), common.recv_ts, &*common.job.context.session, at.seq,
            $crate::store::rows::POOL, &*common.job.context.agent_id,
            common.job.context.process_id, at.action_id, at.action_id.map(|id| common.name(id)),
            at.version $(, $value)*
        ])
    }};
}
use append_row;

/// When something happened, its number, and what it is of.
struct At<'a> {
    ts: i64,
    seq: u64,
    action_id: Option<&'a str>,
    version: Option<u32>,
}

/// What the rows of one batch have in common.
struct Common<'a> {
    job: &'a BatchJob,
    recv_ts: Value,
}

impl Common<'_> {
    fn name<'a>(&'a self, action_id: &'a str) -> &'a str {
        self.job
            .action_names
            .get(action_id)
            .map_or(action_id, String::as_str)
    }
}

/// The tables of events, open for rows.
pub(super) struct Tables<'c> {
    logs: Appender<'c>,
    metrics: Appender<'c>,
    snapshots: Appender<'c>,
    frames: Appender<'c>,
    captured: Appender<'c>,
    coverage: Appender<'c>,
    overhead: Appender<'c>,
    losses: Appender<'c>,
}

impl<'c> Tables<'c> {
    pub(super) fn open(connection: &'c Connection) -> duckdb::Result<Tables<'c>> {
        let open = |table| connection.appender_to_db(table, "store");
        Ok(Tables {
            logs: open("logs")?,
            metrics: open("metrics")?,
            snapshots: open("snapshots")?,
            frames: open("frames")?,
            captured: open("captured")?,
            coverage: open("coverage")?,
            overhead: open("overhead")?,
            losses: open("losses")?,
        })
    }

    /// Appends the rows of a batch.
    pub(super) fn append(&mut self, job: &BatchJob) -> duckdb::Result<()> {
        let common = Common {
            job,
            recv_ts: time(job.received_at),
        };
        let batch = &job.batch;
        log::append(batch, &common, &mut self.logs)?;
        metric::append(batch, &common, &mut self.metrics)?;
        snapshot::append(batch, &common, self)?;
        counts::append_coverage(batch, &common, &mut self.coverage)?;
        counts::append_overhead(batch, &common, &mut self.overhead)?;
        counts::append_losses(batch, &common, &mut self.losses)
    }

    pub(super) fn flush(self) -> duckdb::Result<()> {
        for mut table in [
            self.logs,
            self.metrics,
            self.snapshots,
            self.frames,
            self.captured,
            self.coverage,
            self.overhead,
            self.losses,
        ] {
            table.flush()?;
        }
        Ok(())
    }
}

pub(super) fn time(us: i64) -> Value {
    Value::Timestamp(TimeUnit::Microsecond, us)
}
