use duckdb::Appender;
use lr_protocol::{Batch, HistogramBucket};
use serde_json::json;

use super::{At, Common, append_row};

pub(super) fn append(
    batch: &Batch,
    common: &Common<'_>,
    metrics: &mut Appender<'_>,
) -> duckdb::Result<()> {
    for row in &batch.metrics {
        let at = At {
            ts: row.ts,
            seq: row.seq,
            action_id: Some(&row.action_id),
            version: Some(row.action_version),
        };
        let unit = Some(&row.unit).filter(|unit| !unit.is_empty());
        append_row!(
            metrics,
            common,
            at,
            row.name,
            row.kind,
            unit,
            row.group,
            row.observed_ms,
            row.count,
            row.sum,
            row.min,
            row.max,
            row.stop_ns,
            stored(&row.hist),
        )?;
    }
    Ok(())
}

/// The histogram as the column has it; none where nothing was counted.
fn stored(hist: &[HistogramBucket]) -> Option<String> {
    (!hist.is_empty()).then(|| json!(hist).to_string())
}
