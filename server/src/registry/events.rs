use lr_protocol::{
    Batch, LiveEvent, LiveLog, LiveMetric, LiveSnapshot, LogEvent, MetricRow, SnapshotEvent,
};

use super::batches::{BatchContext, Scopes};
use super::effects::{Number, Stream, Told};
use crate::clock::rfc3339;

/// What a batch tells that was seen. Apart from the registry, whose lock this would hold too long.
pub(crate) fn events_of(context: &BatchContext, batch: &Batch, scopes: &Scopes) -> Vec<Told> {
    let mut events = Vec::new();
    let mut push = |action_id: &str, stream, seq, event| {
        events.extend(scopes.get(action_id).map(|scope| Told {
            event,
            scope: scope.clone(),
            number: Some(Number {
                stream,
                session: context.session.clone(),
                seq,
            }),
        }));
    };
    for log in &batch.logs {
        let event = LiveEvent::Log(live_log(context, log));
        push(&log.action_id, Stream::Logs, log.seq, event);
    }
    for snapshot in &batch.snapshots {
        let event = LiveEvent::Snapshot(live_snapshot(context, snapshot));
        push(&snapshot.action_id, Stream::Snapshots, snapshot.seq, event);
    }
    for row in &batch.metrics {
        let event = LiveEvent::Metric(live_metric(context, row));
        push(&row.action_id, Stream::Metrics, row.seq, event);
    }
    events
}

fn live_log(context: &BatchContext, log: &LogEvent) -> LiveLog {
    let fields = log.fields.iter();
    LiveLog {
        ts: rfc3339(log.ts),
        agent: context.agent_id.to_string(),
        process: context.process_id.clone(),
        action: log.action_id.to_string(),
        pid: context.pid,
        tid: log.tid,
        thread: log.thread.to_string(),
        file: log.file.to_string(),
        line: log.line,
        function: log.function.to_string(),
        level: log.level.word().to_owned(),
        message: log.message.clone(),
        fields: fields
            .map(|field| (field.name.to_string(), field.value.to_plain_json()))
            .collect(),
    }
}

pub(crate) fn live_snapshot(context: &BatchContext, event: &SnapshotEvent) -> LiveSnapshot {
    LiveSnapshot {
        ts: rfc3339(event.ts),
        id: format!("{}-{}", context.session, event.seq),
        agent: context.agent_id.to_string(),
        process: context.process_id.clone(),
        action: event.action_id.to_string(),
        pid: context.pid,
        thread: event.thread.to_string(),
        file: event.file.to_string(),
        line: event.line,
        function: event.function.to_string(),
        stop_ns: event.stop_ns,
        snapshot: event.snapshot.clone(),
    }
}

pub(crate) fn live_metric(context: &BatchContext, row: &MetricRow) -> LiveMetric {
    let (agent, process) = (context.agent_id.to_string(), context.process_id.clone());
    LiveMetric::of(row, rfc3339(row.ts), agent, process)
}
