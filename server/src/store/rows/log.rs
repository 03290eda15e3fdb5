use duckdb::Appender;
use lr_protocol::{Batch, Field};

use super::{At, Common, append_row};
use crate::store::fields;

pub(super) fn append(
    batch: &Batch,
    common: &Common<'_>,
    logs: &mut Appender<'_>,
) -> duckdb::Result<()> {
    // Nearly always those of the log before.
    let mut types = String::new();
    let mut types_of: Option<&[Field]> = None;
    for log in &batch.logs {
        if types_of.is_none_or(|known| !fields::are_alike(known, &log.fields)) {
            types = fields::types(&log.fields);
            types_of = Some(&log.fields);
        }
        let values = fields::values(&log.fields);
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
            log.thread.as_str(),
            log.file.as_str(),
            log.line,
            log.function.as_str(),
            log.level.word(),
            log.message,
            values,
            types,
        )?;
    }
    Ok(())
}
