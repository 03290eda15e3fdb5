use lr_protocol::{
    Absent, CapturedValue, FieldValue, LogEvent, MetricRow, Snapshot, SnapshotEvent, SnapshotFrame,
};

/// What an action has to tell.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Event {
    Log(LogEvent),
    Snapshot(Box<SnapshotEvent>),
    Metric(Box<MetricRow>),
}

impl From<LogEvent> for Event {
    fn from(log: LogEvent) -> Event {
        Event::Log(log)
    }
}

impl From<SnapshotEvent> for Event {
    fn from(snapshot: SnapshotEvent) -> Event {
        Event::Snapshot(Box::new(snapshot))
    }
}

impl From<MetricRow> for Event {
    fn from(row: MetricRow) -> Event {
        Event::Metric(Box::new(row))
    }
}

/// Numbers, names and braces around every event.
const AROUND: usize = 200;
const PER_FIELD: usize = 40;
const PER_BUCKET: usize = 60;

impl Event {
    /// About what it takes in memory and as JSON.
    pub(crate) fn size(&self) -> usize {
        match self {
            Event::Log(log) => size_of_log(log),
            Event::Snapshot(event) => {
                let texts = event.thread.len() + event.file.len() + event.function.len();
                AROUND + texts + size_of_snapshot(&event.snapshot)
            }
            Event::Metric(row) => {
                let group = row.group.as_ref().map_or(0, String::len);
                AROUND + row.name.len() + group + row.hist.len() * PER_BUCKET
            }
        }
    }
}

fn size_of_log(event: &LogEvent) -> usize {
    let fields: usize = event
        .fields
        .iter()
        .map(|field| {
            let text = match &field.value {
                FieldValue::Text(text) => text.len(),
                FieldValue::Absent(absent) => absent.detail.len() + PER_FIELD,
                _ => 20,
            };
            field.name.len() + field.type_name.len() + text + PER_FIELD
        })
        .sum();
    let texts = event.message.len() + event.thread.len() + event.file.len() + event.function.len();
    AROUND + texts + fields
}

fn size_of_snapshot(snapshot: &Snapshot) -> usize {
    let values = |values: &[CapturedValue]| values.iter().map(size_of_value).sum::<usize>();
    let frame = |frame: &SnapshotFrame| {
        let variables = frame.variables.as_deref().unwrap_or_default();
        AROUND + frame.function.len() + frame.file.len() + frame.module.len() + values(variables)
    };
    let threads = snapshot.threads.iter().flat_map(|thread| &thread.frames);
    let frames = snapshot.frames.iter().chain(threads);
    let registers = snapshot.registers.len() * PER_FIELD;
    registers + values(&snapshot.watches) + frames.map(frame).sum::<usize>()
}

/// About what a value takes with all that is in it.
pub(crate) fn size_of_value(value: &CapturedValue) -> usize {
    let children: usize = value.children.iter().map(size_of_value).sum();
    own_size_of_value(value) + children
}

/// The same without what is in it.
pub(crate) fn own_size_of_value(value: &CapturedValue) -> usize {
    let absent = |absent: &Absent| absent.detail.len() + PER_FIELD;
    let text = value.value.as_ref().map_or(0, String::len);
    let reason = value.absent.as_ref().map_or(0, absent);
    PER_FIELD + value.name.len() + value.type_name.len() + text + reason
}
