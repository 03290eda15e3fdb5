use duckdb::Appender;
use lr_protocol::Batch;

use super::{At, Common, append_row};
use crate::store::fields;

pub(super) fn append(
    batch: &Batch,
    common: &Common<'_>,
    logs: &mut Appender<'_>,
) -> duckdb::Result<()> {
    for log in &batch.logs {
        let (values, types) = fields::columns(&log.fields);
        let at = At {
            ts: log.ts,
            seq: log.seq,
            action_id: Some(&log.action_id),
            version: Some(log.action_version),
        };
        append_row!(
            logs,
            common,
            at,
            log.tid,
            log.thread,
            log.file,
            log.line,
            log.function,
            log.level.word(),
            log.message,
            values,
            types,
        )?;
    }
    Ok(())
}
