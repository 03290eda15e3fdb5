use duckdb::Appender;
use lr_protocol::Batch;

use super::{At, Common, append_row};

pub(super) fn append_coverage(
    batch: &Batch,
    common: &Common<'_>,
    coverage: &mut Appender<'_>,
) -> duckdb::Result<()> {
    for row in &batch.coverage {
        let at = At {
            ts: row.ts,
            seq: batch.sequence,
            action_id: Some(&row.action_id),
            version: Some(row.action_version),
        };
        append_row!(
            coverage,
            common,
            at,
            row.observed_ms,
            row.hits,
            row.matched,
            row.kept,
            row.rate_limited,
            row.over_budget,
            row.dropped,
        )?;
    }
    Ok(())
}

pub(super) fn append_overhead(
    batch: &Batch,
    common: &Common<'_>,
    overhead: &mut Appender<'_>,
) -> duckdb::Result<()> {
    for row in &batch.overhead {
        let at = At {
            ts: row.ts,
            seq: batch.sequence,
            action_id: Some(&row.action_id),
            version: None,
        };
        append_row!(
            overhead,
            common,
            at,
            row.stops,
            row.stop_ns,
            row.max_stop_ns,
            row.share
        )?;
    }
    Ok(())
}

pub(super) fn append_losses(
    batch: &Batch,
    common: &Common<'_>,
    losses: &mut Appender<'_>,
) -> duckdb::Result<()> {
    for loss in &batch.losses {
        let at = At {
            ts: loss.ts,
            seq: batch.sequence,
            action_id: loss.action_id.as_deref(),
            version: None,
        };
        append_row!(losses, common, at, loss.reason, loss.count)?;
    }
    Ok(())
}
