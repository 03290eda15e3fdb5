use std::time::Duration;

use clap::{Args, ValueEnum};
use lr_protocol::{
    ActionKind, ActionSpec, CounterSpec, Level, LogSpec, MetricSpec, Output, SnapshotSpec,
};

use crate::duration;

/// What holds for each action of a command.
#[derive(Args, Clone, Debug)]
pub(crate) struct ActionOptions {
    /// Only hits where this holds count
    #[arg(long = "if", value_name = "EXPR")]
    condition: Option<String>,
    /// A name to find it by, and its name in SQL
    #[arg(long, value_name = "N")]
    name: Option<String>,
    /// End after so many hits; each agent of a tag counts its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    hits: Option<u64>,
    /// End after so long: 500ms, 10s, 5m, 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) lasting: Option<Duration>,
    /// Events a second; logs have 50 unless said
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Go on beyond the limits that protect the process's speed
    #[arg(long)]
    ignore_quota: bool,
    /// Where events go: server, stdout (the agent's), both, or a file on the agent's host
    #[arg(long, value_name = "server|stdout|both|FILE", default_value = "server", value_parser = output)]
    output: Output,
}

/// What logs have beside.
#[derive(Args, Clone, Debug)]
pub(crate) struct LogOptions {
    /// How important logs are
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    level: LevelArg,
}

/// What snapshots have beside.
#[derive(Args, Clone, Debug)]
pub(crate) struct SnapshotOptions {
    /// An expression that a snapshot shows with larger limits than variables; may be given again
    #[arg(long = "watch", value_name = "EXPR")]
    watches: Vec<String>,
    /// The stacks of the other threads too, where they can be had without stopping them
    #[arg(long)]
    all_threads: bool,
    /// The registers too
    #[arg(long)]
    registers: bool,
}

/// What counters and metrics have beside.
#[derive(Args, Clone, Debug)]
pub(crate) struct GroupOptions {
    /// Count for each value of this
    #[arg(long, value_name = "EXPR")]
    by: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LevelArg {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl ActionOptions {
    /// An action of that kind with these options.
    pub(crate) fn spec(&self, kind: ActionKind) -> ActionSpec {
        ActionSpec {
            kind,
            condition: self.condition.clone(),
            name: self.name.clone(),
            tags: Default::default(),
            max_hits: self.hits,
            expires_in_s: self.lasting.map(duration::whole_seconds),
            rate: self.rate,
            ignore_quota: self.ignore_quota,
            output: self.output.clone(),
        }
    }

    /// Whether events go to the agent's standard output.
    pub(crate) fn has_stdout(&self) -> bool {
        matches!(self.output, Output::Stdout | Output::Both)
    }

    /// Whether events come by way of the server, where they can be waited for.
    pub(crate) fn has_server(&self) -> bool {
        matches!(self.output, Output::Server | Output::Both)
    }
}

impl LogOptions {
    pub(crate) fn log(&self, location: &str, template: &str) -> ActionKind {
        ActionKind::Log(LogSpec {
            location: location.into(),
            template: template.into(),
            level: self.level.into(),
        })
    }
}

impl SnapshotOptions {
    pub(crate) fn watches(&self) -> &[String] {
        &self.watches
    }

    pub(crate) fn snapshot(&self, location: &str) -> ActionKind {
        ActionKind::Snapshot(SnapshotSpec {
            location: location.into(),
            watches: self.watches.clone(),
            all_threads: self.all_threads,
            registers: self.registers,
        })
    }
}

impl GroupOptions {
    pub(crate) fn counter(&self, location: &str) -> ActionKind {
        ActionKind::Counter(CounterSpec {
            location: location.into(),
            by: self.by.clone(),
        })
    }

    pub(crate) fn metric(&self, location: &str, expression: &str, unit: &str) -> ActionKind {
        ActionKind::Metric(MetricSpec {
            location: location.into(),
            expression: expression.into(),
            by: self.by.clone(),
            unit: unit.into(),
        })
    }
}

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Level {
        match level {
            LevelArg::Trace => Level::Trace,
            LevelArg::Debug => Level::Debug,
            LevelArg::Info => Level::Info,
            LevelArg::Warn => Level::Warn,
            LevelArg::Error => Level::Error,
        }
    }
}

/// `50` or `50/s`.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected events a second, as in 50 or 0.5".into()),
    }
}

/// The agent's working directory is not ours, so a file is named from the root.
fn output(text: &str) -> Result<Output, String> {
    match text {
        "server" => Ok(Output::Server),
        "stdout" => Ok(Output::Stdout),
        "both" => Ok(Output::Both),
        "" => Err("expected server, stdout, both or a file".into()),
        path => match std::path::absolute(path).map(|path| path.into_os_string().into_string()) {
            Ok(Ok(path)) => Ok(Output::File(path)),
            _ => Err("not a path that can be sent".into()),
        },
    }
}

/// `k=v`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("expected k=v".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(rate("50"), Ok(50.0));
        assert_eq!(rate("0.5/s"), Ok(0.5));
        for text in ["", "0", "-1", "inf", "NaN", "5/m"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn outputs() {
        assert_eq!(output("server"), Ok(Output::Server));
        assert_eq!(output("stdout"), Ok(Output::Stdout));
        assert_eq!(output("both"), Ok(Output::Both));
        assert_eq!(output("/var/x"), Ok(Output::File("/var/x".into())));
        let relative = std::env::current_dir().unwrap().join("x");
        assert_eq!(
            output("x"),
            Ok(Output::File(relative.to_str().unwrap().into()))
        );
    }

    #[test]
    fn tags() {
        assert_eq!(key_value("k=a=b"), Ok(("k".into(), "a=b".into())));
        assert!(key_value("k").is_err() && key_value("=v").is_err());
    }
}
