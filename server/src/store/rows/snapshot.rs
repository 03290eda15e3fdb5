use lr_protocol::{Batch, CapturedValue, SnapshotEvent, SnapshotFrame};

use super::leaf::leaves;
use super::{At, Common, Tables, append_row};

pub(super) fn append(
    batch: &Batch,
    common: &Common<'_>,
    tables: &mut Tables<'_>,
) -> duckdb::Result<()> {
    for event in &batch.snapshots {
        append_one(event, common, tables)?;
    }
    Ok(())
}

fn append_one(
    event: &SnapshotEvent,
    common: &Common<'_>,
    tables: &mut Tables<'_>,
) -> duckdb::Result<()> {
    let at = At {
        ts: event.ts,
        seq: event.seq,
        action_id: Some(&event.action_id),
        version: Some(event.action_version),
    };
    let snapshot = &event.snapshot;
    let json = serde_json::to_string(snapshot).expect("snapshots have string keys only");
    let bytes = u64::try_from(json.len()).unwrap_or(u64::MAX);
    append_row!(
        tables.snapshots,
        common,
        at,
        snapshot.tid,
        event.thread.as_str(),
        event.file.as_str(),
        event.line,
        event.function.as_str(),
        event.stack_hash,
        bytes,
        event.stop_ns,
        json,
    )?;
    append_frames(
        &at,
        (snapshot.tid, &event.thread),
        &snapshot.frames,
        common,
        tables,
    )?;
    for thread in &snapshot.threads {
        append_frames(
            &at,
            (thread.tid, &thread.name),
            &thread.frames,
            common,
            tables,
        )?;
    }
    for (number, frame) in numbered(&snapshot.frames) {
        let variables = frame.variables.iter().flatten();
        append_values(&at, Some(number), variables, common, tables)?;
    }
    append_values(&at, None, &snapshot.watches, common, tables)?;
    for (register, value) in &snapshot.registers {
        let path = format!("${register}");
        append_row!(
            tables.captured,
            common,
            at,
            None::<u32>,
            path,
            None::<&str>,
            "uint",
            value,
            None::<i64>,
            value
                .strip_prefix("0x")
                .and_then(|hex| u64::from_str_radix(hex, 16).ok()),
            None::<f64>,
            None::<&str>,
            None::<&str>,
        )?;
    }
    Ok(())
}

fn append_frames(
    at: &At<'_>,
    (tid, thread): (u32, &str),
    frames: &[SnapshotFrame],
    common: &Common<'_>,
    tables: &mut Tables<'_>,
) -> duckdb::Result<()> {
    for (number, frame) in numbered(frames) {
        append_row!(
            tables.frames,
            common,
            *at,
            tid,
            number,
            known(&frame.function),
            known(&frame.file),
            Some(frame.line).filter(|line| *line > 0),
            known(&frame.module),
            frame.inlined,
            frame.signal,
            frame.address,
            frame.tail_call,
            frame.guessed,
            frame.skips,
            known(thread),
        )?;
    }
    Ok(())
}

fn append_values<'v>(
    at: &At<'_>,
    frame: Option<u32>,
    values: impl IntoIterator<Item = &'v CapturedValue>,
    common: &Common<'_>,
    tables: &mut Tables<'_>,
) -> duckdb::Result<()> {
    for value in values {
        for leaf in leaves(value) {
            append_row!(
                tables.captured,
                common,
                *at,
                frame,
                leaf.path,
                known(leaf.type_name),
                leaf.kind,
                leaf.text,
                leaf.i,
                leaf.u,
                leaf.f,
                leaf.absent.map(|absent| absent.reason.word()),
                leaf.absent.and_then(|absent| known(&absent.detail)),
            )?;
        }
    }
    Ok(())
}

fn numbered(frames: &[SnapshotFrame]) -> impl Iterator<Item = (u32, &SnapshotFrame)> {
    (0..).zip(frames)
}

/// What is not known is empty on the wire and NULL in the store.
fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
