use jiff::tz::TimeZone;
use lr_protocol::{LiveEvent, LiveLog, LiveLoss, LiveMetric, LiveSnapshot};

use crate::escape::{escaped, escaped_json};
use crate::number::number;
use crate::style::Style;
use crate::time;
use crate::verbs::snapshot::text;

/// How events are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    People,
    Json,
}

impl Form {
    pub(crate) fn of(json: bool) -> Form {
        match json {
            true => Form::Json,
            false => Form::People,
        }
    }
}

/// Turns events into lines.
#[derive(Clone, Debug)]
pub(crate) struct EventLines {
    pub(crate) form: Form,
    style: Style,
    zone: TimeZone,
}

impl EventLines {
    pub(crate) fn new(form: Form) -> EventLines {
        EventLines {
            form,
            style: Style::of_stdout(),
            zone: TimeZone::system(),
        }
    }

    /// The line on standard output, for those events that have one there.
    pub(crate) fn line(&self, event: &LiveEvent) -> Option<String> {
        match (self.form, event) {
            // Nobody could say what it is.
            (_, LiveEvent::Unknown) => None,
            (Form::Json, event) => {
                let json = serde_json::to_string(event).expect("events have string keys");
                Some(escaped_json(&json).into_owned())
            }
            (Form::People, LiveEvent::Log(log)) => Some(self.people(log)),
            (Form::People, LiveEvent::Snapshot(snapshot)) => Some(self.snapshot(snapshot)),
            (Form::People, LiveEvent::Metric(metric)) => Some(self.metric(metric)),
            (Form::People, _) => None,
        }
    }

    /// Several lines: where and when, then the stack with its values.
    fn snapshot(&self, snapshot: &LiveSnapshot) -> String {
        let time = time::local(&snapshot.ts, &self.zone);
        let thread = format!("{}[{}]", snapshot.thread, snapshot.snapshot.tid);
        let file = snapshot.file.rsplit('/').next().unwrap_or_default();
        let place = format!("{thread} {file}:{}", snapshot.line);
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let stopped_ms = snapshot.stop_ns as f64 / 1e6;
        let head = self.style.dim(&format!("{time} {}", escaped(&place)));
        let stopped = format!("stopped for {} ms", number(stopped_ms));
        let tree = text::of(&snapshot.snapshot, self.style);
        // Without a server nobody keeps it under a name.
        let id = match snapshot.id.as_str() {
            "" => String::new(),
            id => format!("{} ", escaped(id)),
        };
        format!(
            "{head} snapshot {id}{}\n{}",
            self.style.dim(&stopped),
            tree.trim_end()
        )
    }

    fn metric(&self, metric: &LiveMetric) -> String {
        let time = self.style.dim(&time::local(&metric.ts, &self.zone));
        let name = escaped(&metric.name);
        let group = match &metric.group {
            Some(group) => format!("[{}]", escaped(group)),
            None => String::new(),
        };
        if metric.kind == "counter" {
            return format!("{time} {name}{group} hits={}", metric.count);
        }
        let mut line = format!("{time} {name}{group} count={}", metric.count);
        for (what, value) in [
            ("mean", metric.mean),
            ("min", metric.min),
            ("p50", metric.p50),
            ("p99", metric.p99),
            ("max", metric.max),
        ] {
            if let Some(value) = value {
                line.push_str(&format!(" {what}={}", number(value)));
            }
        }
        if !metric.unit.is_empty() {
            line.push_str(&format!(" {}", escaped(&metric.unit)));
        }
        line
    }

    fn people(&self, log: &LiveLog) -> String {
        let time = time::local(&log.ts, &self.zone);
        let file = log.file.rsplit('/').next().unwrap_or_default();
        let place = format!("{}[{}] {file}:{}", log.thread, log.tid, log.line);
        let level = match log.level.as_str() {
            "info" | "" => String::new(),
            "error" => format!("{} ", self.style.red("ERROR")),
            "warn" => format!("{} ", self.style.yellow("WARN")),
            other => format!("{} ", escaped(&other.to_uppercase())),
        };
        format!(
            "{} {level}{}",
            self.style.dim(&format!("{time} {}", escaped(&place))),
            escaped(&log.message)
        )
    }
}

/// The action that has seen what an event tells, if it tells of something seen. A second in which
/// nothing was counted is nothing seen.
pub(crate) fn seen_by(event: &LiveEvent) -> Option<&str> {
    match event {
        LiveEvent::Log(log) => Some(&log.action),
        LiveEvent::Snapshot(snapshot) => Some(&snapshot.action),
        LiveEvent::Metric(metric) if metric.count > 0 => Some(&metric.action),
        LiveEvent::Metric(_) => None,
        LiveEvent::Loss(_) | LiveEvent::State(_) | LiveEvent::End(_) | LiveEvent::Unknown => None,
    }
}

/// What a loss says to people.
pub(crate) fn loss_line(loss: &LiveLoss) -> String {
    let reason = match loss.reason.as_str() {
        "rate_limited" => "over the action's rate limit; --rate raises it",
        "slow_client" => "this terminal was too slow; they are stored",
        "over_budget" => "passes were only counted, to see how busy the line is",
        "ring_full" => "hits came faster than the agent could take them",
        "queue_full" => "the agent could not send them in time",
        "output_full" => "whoever reads the agent's standard output was too slow",
        "output_failed" => "the output could not be written",
        "too_large" => "larger than a snapshot may be",
        "condition_error" => "the condition had no value",
        other => other,
    };
    let events = if loss.count == 1 { "event" } else { "events" };
    format!("{} {events} not shown: {}", loss.count, escaped(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(form: Form) -> EventLines {
        EventLines {
            form,
            style: Style::Plain,
            zone: TimeZone::fixed(jiff::tz::offset(1)),
        }
    }

    fn log(message: &str, level: &str) -> LiveEvent {
        LiveEvent::Log(LiveLog {
            ts: "2026-01-02T03:04:05.678901Z".into(),
            agent: "aaaaaaaa".into(),
            process: "1-2".into(),
            action: "bbbbbbbb".into(),
            pid: 1,
            tid: 7,
            thread: "main".into(),
            file: "src/a.c".into(),
            line: 9,
            function: "process".into(),
            level: level.into(),
            message: message.into(),
            fields: serde_json::from_str(r#"{"id":1}"#).unwrap(),
        })
    }

    fn metric(kind: &str, group: Option<&str>) -> LiveEvent {
        serde_json::from_value(serde_json::json!({
            "type": "metric", "ts": "2026-01-02T03:04:05.678901Z", "agent": "a", "process": "1-2",
            "action": "b", "name": "sold", "kind": kind, "unit": "ms", "group": group,
            "observed_ms": 1000, "count": 3, "sum": 116.5, "min": 8.0, "max": 100.0,
            "mean": 38.833_333, "p50": 8.75, "p99": 100.0,
        }))
        .unwrap()
    }

    #[test]
    fn counters_and_metrics_are_a_line() {
        let line = |event| lines(Form::People).line(&event).unwrap();
        let time = "2026-01-02 04:04:05.678+01:00";
        assert_eq!(
            line(metric("counter", Some("de\u{1b}"))),
            format!("{time} sold[de\\u{{1b}}] hits=3")
        );
        assert_eq!(
            line(metric("metric", None)),
            format!("{time} sold count=3 mean=38.833 min=8 p50=8.75 p99=100 max=100 ms")
        );
    }

    #[test]
    fn a_snapshot_is_its_stack() {
        let snapshot = serde_json::from_value(serde_json::json!({
            "type": "snapshot", "ts": "2026-01-02T03:04:05.678901Z", "id": "s-1", "agent": "a",
            "process": "1-2", "action": "b", "pid": 1, "thread": "work\u{1b}er", "file": "src/a.c", "line": 9,
            "function": "f", "stop_ns": 120_000, "tid": 7,
            "frames": [{"function": "f", "file": "src/a.c", "line": 9, "inlined": false, "address": "0x1",
                "variables": [{"name": "n", "type": "int", "kind": "int", "value": "5"}]}],
            "watches": [{"name": "n * 2", "type": "int", "kind": "int", "value": "10"}],
            "registers": [["rax", "0x10"]],
        }))
        .unwrap();
        assert_eq!(
            lines(Form::People).line(&snapshot).unwrap(),
            "2026-01-02 04:04:05.678+01:00 work\\u{1b}er[7] a.c:9 snapshot s-1 stopped for 0.12 ms\n\
             thread 7\n\
             \x20 0  f  src/a.c:9\n\n\
             \x20 0  f\n\
             \x20    n: int = 5\n\n\
             \x20    watches\n\
             \x20    n * 2: int = 10\n\n\
             \x20    registers\n\
             \x20    rax = 0x10"
        );
    }

    #[test]
    fn a_line_for_people() {
        assert_eq!(
            lines(Form::People).line(&log("id=1", "info")).unwrap(),
            "2026-01-02 04:04:05.678+01:00 main[7] a.c:9 id=1"
        );
        assert_eq!(
            lines(Form::People).line(&log("\x1b[2J", "warn")).unwrap(),
            "2026-01-02 04:04:05.678+01:00 main[7] a.c:9 WARN \\u{1b}[2J"
        );
    }

    #[test]
    fn a_line_of_json_is_the_contract() {
        assert_eq!(
            lines(Form::Json)
                .line(&log("id=1\u{202e}", "info"))
                .unwrap(),
            r#"{"type":"log","ts":"2026-01-02T03:04:05.678901Z","agent":"aaaaaaaa","process":"1-2","action":"bbbbbbbb","pid":1,"tid":7,"thread":"main","file":"src/a.c","line":9,"function":"process","level":"info","message":"id=1\u202e","fields":{"id":1}}"#
        );
    }

    #[test]
    fn what_this_version_does_not_know_has_no_line() {
        assert_eq!(lines(Form::Json).line(&LiveEvent::Unknown), None);
    }
}
