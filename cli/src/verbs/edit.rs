use std::time::Duration;

use clap::Args;
use lr_protocol::{ActionKind, ActionSpec, EditAction};

use crate::connect::ServerArgs;
use crate::duration;
use crate::failure::Failure;
use crate::options::{LevelArg, rate};
use crate::selector;
use crate::tell::tell;

/// What is not given stays as it is; the new version begins anew.
#[derive(Args, Clone, Debug)]
pub(crate) struct Edit {
    /// Its id or name, as `lr actions` lists it
    #[arg(value_name = "ID")]
    id: String,
    /// Another place
    #[arg(long = "at", value_name = "LOC")]
    location: Option<String>,
    /// What a log says
    #[arg(long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    template: Option<String>,
    /// How important a log is
    #[arg(long, value_name = "LEVEL")]
    level: Option<LevelArg>,
    /// What a metric measures
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    expression: Option<String>,
    /// Count for each value of this; '' for none
    #[arg(long, value_name = "EXPR")]
    by: Option<String>,
    /// The watches of a snapshot, in place of those that it has; '' for none
    #[arg(long = "watch", value_name = "EXPR")]
    watches: Vec<String>,
    /// Only hits where this holds count; '' for all
    #[arg(long = "if", value_name = "EXPR")]
    condition: Option<String>,
    /// Another name
    #[arg(long, value_name = "N")]
    name: Option<String>,
    /// End after so many hits, from now; each agent of a tag counts its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    hits: Option<u64>,
    /// End after so long, from now
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    lasting: Option<Duration>,
    /// Events a second
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Take it even if it costs more than it may; `false` for no more than it may
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    ignore_quota: Option<bool>,
    /// Edit this version; refused if it is not the newest [default: the newest]
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Edit {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let action = selector::action(&client, &self.id).await?;
        let edit = EditAction {
            version: self.version.unwrap_or(action.version),
            spec: self.applied(action.spec.clone())?,
        };
        if edit.spec == action.spec {
            return Err(Failure::new("usage", "nothing is different").hint(format!(
                "`lr retake {}` starts it again as it is",
                action.id
            )));
        }
        let edited = client.edit_action(&action.id, &edit).await?;
        tell!("{} is version {} now", edited.id, edited.version);
        Ok(())
    }

    /// The action with what was given.
    fn applied(&self, mut spec: ActionSpec) -> Result<ActionSpec, Failure> {
        self.apply_to_kind(&mut spec.kind)?;
        replace_or_clear(&mut spec.condition, self.condition.as_ref());
        spec.name = self.name.clone().or(spec.name);
        spec.max_hits = self.hits.or(spec.max_hits);
        spec.ignore_quota = self.ignore_quota.unwrap_or(spec.ignore_quota);
        spec.rate = self.rate.or(spec.rate);
        let seconds = self.lasting.map(duration::whole_seconds);
        spec.expires_in_s = seconds.or(spec.expires_in_s);
        Ok(spec)
    }

    fn apply_to_kind(&self, kind: &mut ActionKind) -> Result<(), Failure> {
        let word = kind.word();
        let mut unfit = Unfit {
            kind: word,
            options: vec![
                ("--template", self.template.is_some()),
                ("--level", self.level.is_some()),
                ("--expression", self.expression.is_some()),
                ("--by", self.by.is_some()),
                ("--watch", !self.watches.is_empty()),
            ],
        };
        let location = match kind {
            ActionKind::Log(log) => {
                unfit.fits(&["--template", "--level"]);
                replace(&mut log.template, self.template.as_ref());
                log.level = self.level.map_or(log.level, Into::into);
                &mut log.location
            }
            ActionKind::Snapshot(snapshot) => {
                unfit.fits(&["--watch"]);
                if !self.watches.is_empty() {
                    let watches = self.watches.iter().filter(|watch| !watch.is_empty());
                    snapshot.watches = watches.cloned().collect();
                }
                &mut snapshot.location
            }
            ActionKind::Counter(counter) => {
                unfit.fits(&["--by"]);
                replace_or_clear(&mut counter.by, self.by.as_ref());
                &mut counter.location
            }
            ActionKind::Metric(metric) => {
                unfit.fits(&["--by", "--expression"]);
                replace_or_clear(&mut metric.by, self.by.as_ref());
                replace(&mut metric.expression, self.expression.as_ref());
                &mut metric.location
            }
            ActionKind::Unknown => {
                return Err(Failure::new(
                    "usage",
                    "the action is of a kind that this `lr` does not know",
                ));
            }
        };
        replace(location, self.location.as_ref());
        unfit.checked()
    }
}

/// Options that a kind of action does not have.
struct Unfit {
    kind: &'static str,
    options: Vec<(&'static str, bool)>,
}

impl Unfit {
    fn fits(&mut self, fitting: &[&str]) {
        self.options.retain(|(option, _)| !fitting.contains(option));
    }

    fn checked(&self) -> Result<(), Failure> {
        match self.options.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Failure::new(
                "usage",
                format!("a {} has no {option}", self.kind),
            )),
        }
    }
}

fn replace(value: &mut String, by: Option<&String>) {
    if let Some(by) = by {
        by.clone_into(value);
    }
}

/// An empty text takes away.
fn replace_or_clear(value: &mut Option<String>, by: Option<&String>) {
    if let Some(by) = by {
        *value = Some(by.clone()).filter(|by| !by.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use lr_protocol::Level;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        edit: Edit,
    }

    fn spec(kind: &str) -> ActionSpec {
        serde_json::from_value(json!({
            "kind": kind, "location": "a.c:1", "template": "x", "expression": "n", "by": "c",
            "condition": "n > 1", "max_hits": 3,
        }))
        .unwrap()
    }

    fn applied(kind: &str, words: &[&str]) -> Result<ActionSpec, Failure> {
        let words = ["edit", "id"].iter().chain(words);
        Line::parse_from(words).edit.applied(spec(kind))
    }

    #[test]
    fn what_is_given_is_different_and_the_rest_stays() {
        let edited = applied(
            "log",
            &[
                "--template",
                "-{y}",
                "--level",
                "warn",
                "--if",
                "",
                "--for",
                "5m",
            ],
        )
        .unwrap();
        let ActionKind::Log(log) = &edited.kind else {
            panic!()
        };
        assert_eq!(
            (log.template.as_str(), log.level, log.location.as_str()),
            ("-{y}", Level::Warn, "a.c:1")
        );
        assert_eq!(
            (edited.condition, edited.max_hits, edited.expires_in_s),
            (None, Some(3), Some(300))
        );
        assert_eq!(applied("counter", &[]).unwrap(), spec("counter"));
        let ActionKind::Counter(counter) = applied("counter", &["--by", ""]).unwrap().kind else {
            panic!()
        };
        assert_eq!(counter.by, None);
    }

    #[test]
    fn what_a_kind_does_not_have_is_refused() {
        for (kind, words) in [
            ("counter", ["--template", "x"]),
            ("log", ["--by", "x"]),
            ("metric", ["--watch", "x"]),
            ("snapshot", ["--expression", "x"]),
        ] {
            assert!(applied(kind, &words).is_err(), "{kind} {words:?}");
        }
    }
}
