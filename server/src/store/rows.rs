use duckdb::types::{TimeUnit, Value};
use duckdb::{Appender, params};
use lr_protocol::Batch;

use super::fields;
use super::writer::BatchJob;

/// The pool that everything belongs to until there are others.
const POOL: &str = "default";

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

/// Appends the rows of a batch to the tables of events.
pub(super) fn append(
    job: &BatchJob,
    logs: &mut Appender<'_>,
    coverage: &mut Appender<'_>,
    losses: &mut Appender<'_>,
) -> duckdb::Result<()> {
    let common = Common {
        job,
        recv_ts: time(job.received_at),
    };
    append_logs(&job.batch, &common, logs)?;
    append_coverage(&job.batch, &common, coverage)?;
    append_losses(&job.batch, &common, losses)
}

pub(super) fn time(us: i64) -> Value {
    Value::Timestamp(TimeUnit::Microsecond, us)
}

fn append_logs(batch: &Batch, common: &Common<'_>, logs: &mut Appender<'_>) -> duckdb::Result<()> {
    let context = &common.job.context;
    for log in &batch.logs {
        let (values, types) = fields::columns(&log.fields);
        logs.append_row(params![
            time(log.ts),
            common.recv_ts,
            &*context.session,
            log.seq,
            POOL,
            &*context.agent_id,
            context.process_id,
            log.action_id,
            common.name(&log.action_id),
            log.action_version,
            log.tid,
            log.thread,
            log.file,
            log.line,
            log.function,
            log.level.word(),
            log.message,
            values,
            types,
        ])?;
    }
    Ok(())
}

fn append_coverage(
    batch: &Batch,
    common: &Common<'_>,
    coverage: &mut Appender<'_>,
) -> duckdb::Result<()> {
    let context = &common.job.context;
    for row in &batch.coverage {
        coverage.append_row(params![
            time(row.ts),
            common.recv_ts,
            &*context.session,
            batch.sequence,
            POOL,
            &*context.agent_id,
            context.process_id,
            row.action_id,
            common.name(&row.action_id),
            row.action_version,
            row.observed_ms,
            row.hits,
            row.matched,
            row.kept,
            row.rate_limited,
            row.over_budget,
            row.dropped,
        ])?;
    }
    Ok(())
}

fn append_losses(
    batch: &Batch,
    common: &Common<'_>,
    losses: &mut Appender<'_>,
) -> duckdb::Result<()> {
    let context = &common.job.context;
    for loss in &batch.losses {
        let action_id = loss.action_id.as_deref();
        losses.append_row(params![
            time(loss.ts),
            common.recv_ts,
            &*context.session,
            batch.sequence,
            POOL,
            &*context.agent_id,
            context.process_id,
            action_id,
            action_id.map(|id| common.name(id)),
            None::<u32>,
            loss.reason,
            loss.count,
        ])?;
    }
    Ok(())
}
