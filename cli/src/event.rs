use jiff::tz::TimeZone;
use lr_protocol::{LiveEvent, LiveLog, LiveLoss};

use crate::escape::{escaped, escaped_json};
use crate::style::Style;
use crate::time;

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
            (Form::People, _) => None,
        }
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

/// What a loss says to people.
pub(crate) fn loss_line(loss: &LiveLoss) -> String {
    let reason = match loss.reason.as_str() {
        "rate_limited" => "over the action's rate limit; --rate raises it",
        "slow_client" => "this terminal was too slow; they are stored",
        "ring_full" => "hits came faster than the agent could take them",
        "queue_full" => "the agent could not send them in time",
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
