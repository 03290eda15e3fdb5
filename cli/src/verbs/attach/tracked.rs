use lr_agent::client::{Client, ClientError};
use lr_protocol::{
    Action, ActionKind, ActionSpec, BoundAddress, LiveState, Output, State, StatusError,
};

use crate::escape::escaped;
use crate::exit;
use crate::failure::{of_action, rendered};
use crate::style::Style;
use crate::tell::tell;

/// One action of a command, on one agent, as far as the command has heard.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub id: String,
    /// What the user calls it: its name, else its kind and place.
    label: String,
    pub state: State,
    pub error: Option<StatusError>,
    /// Whether its events come from the server and from the agent's standard output.
    pub comes_twice: bool,
    told_bound: u32,
    told_warnings: Vec<String>,
    told_pause: bool,
    told_state: Option<State>,
}

/// Warnings that are remembered, so that none is told twice.
const MOST_WARNINGS: usize = 1000;

impl Tracked {
    pub(crate) fn new(action: &Action) -> Tracked {
        Tracked {
            id: action.id.clone(),
            label: label(&action.spec),
            state: State::Submitted,
            error: None,
            comes_twice: action.spec.output == Output::Both,
            told_bound: 0,
            told_warnings: Vec::new(),
            told_pause: false,
            told_state: None,
        }
    }

    /// Takes in what an event says, and tells the user what is new of it.
    pub(crate) async fn hear(
        &mut self,
        event: &LiveState,
        client: &Client,
    ) -> Result<(), ClientError> {
        let is_late = self.is_late(event);
        if let (Some(error), None) = (&event.error, &self.error) {
            let told = of_action(error, &self.label);
            crate::tell::raw(&rendered(&told, Style::of_stderr()));
            self.error = Some(error.clone());
        }
        if event.state == State::Pending {
            self.told_bound = 0;
        }
        if event.bound > self.told_bound && !is_late {
            self.told_bound = event.bound;
            let action = client.action(&self.id).await?;
            let status = action
                .statuses
                .iter()
                .find(|status| status.agent_id == event.agent);
            tell!("{}", self.bound_line(event.bound));
            for bound in status.map_or(&[][..], |status| &status.bound) {
                tell!("  {}", address_line(bound));
            }
        }
        if is_late {
            return Ok(());
        }
        for line in self.news(event) {
            tell!("{line}");
        }
        Ok(())
    }

    /// Takes in the state. What is final stays: a late event of an earlier state changes nothing,
    /// and the same end may be told by the agent and by the server.
    fn is_late(&mut self, event: &LiveState) -> bool {
        let is_late = self.state.is_final();
        if !is_late {
            self.state = event.state;
        }
        is_late
    }

    /// Lines about the state of an action that is not over, and about its warnings.
    fn news(&mut self, event: &LiveState) -> Vec<String> {
        let is_new = self.told_state.replace(event.state) != Some(event.state);
        let mut lines = Vec::new();
        match event.state {
            // The warning is what it waits for.
            State::Pending if is_new => {
                return vec![format!("{} {}", self.what(), waits(&event.warnings))];
            }
            State::Pending => return lines,
            // It may come and go every second; once is enough.
            State::Paused if !self.told_pause => {
                self.told_pause = true;
                lines.push(format!(
                    "{} is paused now and then: it takes more of the process's time than it may; \
                     --ignore-quota takes it all the same",
                    self.what()
                ));
            }
            State::Disabled if is_new => lines.push(format!("{} is disabled", self.what())),
            State::Expired if is_new => lines.push(format!("{} has expired", self.what())),
            _ => {}
        }
        for warning in &event.warnings {
            if self.told_warnings.contains(warning) {
                continue;
            }
            if self.told_warnings.len() < MOST_WARNINGS {
                self.told_warnings.push(warning.clone());
            }
            let word = Style::of_stderr().yellow("warning");
            lines.push(format!("{word}: {}", escaped(warning)));
        }
        lines
    }

    /// Takes in what has been said so far, for when nobody listened.
    pub(crate) async fn ask(&mut self, client: &Client) -> Result<(), ClientError> {
        for status in client.action(&self.id).await?.statuses {
            let event = LiveState {
                ts: String::new(),
                agent: status.agent_id,
                action: status.action_id,
                state: status.state,
                bound: u32::try_from(status.bound.len()).unwrap_or(u32::MAX),
                warnings: status.warnings,
                error: status.error,
            };
            self.hear(&event, client).await?;
        }
        Ok(())
    }

    /// Whether the agent has said what it can do about it.
    pub(crate) fn is_settled(&self) -> bool {
        self.state.is_final()
            || matches!(
                self.state,
                State::Bound | State::Hit | State::Pending | State::Disabled | State::Paused
            )
    }

    fn what(&self) -> String {
        format!("{} {}", escaped(&self.label), self.id)
    }

    fn bound_line(&self, bound: u32) -> String {
        let addresses = if bound == 1 { "address" } else { "addresses" };
        format!("{} is bound at {bound} {addresses}", self.what())
    }
}

/// The exit status of a command all of whose actions are to be done: the first one's error where
/// none could be. `None` where all could, or there are none.
pub(crate) fn failed_status(actions: &[Tracked]) -> Option<u8> {
    let mut failed = actions.iter().filter(|action| action.state == State::Error);
    let first = failed.next()?.error.as_ref();
    let all_failed = failed.count() + 1 == actions.len();
    Some(match first {
        Some(error) if all_failed => exit::status_of(&error.code),
        _ => exit::COULD_NOT,
    })
}

/// The exit status where one of them is enough, as of an action on many agents.
pub(crate) fn all_failed_status(actions: &[Tracked]) -> Option<u8> {
    let all_failed = actions.iter().all(|action| action.state == State::Error);
    failed_status(actions).filter(|_| all_failed)
}

/// What a pending action waits for, as its agent says it.
fn waits(warnings: &[String]) -> String {
    match warnings.first() {
        Some(what) => escaped(what).into_owned(),
        None => "waits: nothing to bind to is loaded yet".to_string(),
    }
}

/// How an action is called where it has no name.
pub(crate) fn label(spec: &ActionSpec) -> String {
    match (&spec.name, &spec.kind) {
        (Some(name), kind) => format!("{} `{name}`", kind.word()),
        (None, ActionKind::Unknown) => spec.kind.word().to_string(),
        (None, kind) => format!("{} at {}", kind.word(), kind.location()),
    }
}

pub(crate) fn address_line(bound: &BoundAddress) -> String {
    let source = match bound.line {
        0 => String::new(),
        line => format!(" at {}:{line}", bound.file),
    };
    let line = format!(
        "{} {}{source} ({}, {})",
        bound.address, bound.function, bound.module, bound.resume
    );
    escaped(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use lr_protocol::{CounterSpec, LogSpec, Output};

    use super::*;

    fn spec(name: Option<&str>) -> ActionSpec {
        ActionSpec {
            kind: ActionKind::Log(LogSpec {
                location: "a.c:9".into(),
                template: "x".into(),
                level: Default::default(),
            }),
            condition: None,
            name: name.map(str::to_string),
            tags: Default::default(),
            max_hits: None,
            expires_in_s: None,
            rate: None,
            ignore_quota: false,
            output: Output::Server,
        }
    }

    fn tracked(code: Option<&str>) -> Tracked {
        Tracked {
            id: "aaaaaaaa".into(),
            label: label(&spec(None)),
            state: code.map_or(State::Bound, |_| State::Error),
            error: code.map(|code| StatusError {
                code: code.into(),
                refers_to: "location".into(),
                message: "m".into(),
                suggestions: Vec::new(),
            }),
            comes_twice: false,
            told_bound: 0,
            told_warnings: Vec::new(),
            told_pause: false,
            told_state: None,
        }
    }

    #[test]
    fn an_end_is_told_once_and_nothing_after_it() {
        let mut action = tracked(None);
        action.state = State::Bound;
        let event = |state, bound| LiveState {
            ts: String::new(),
            agent: "g".into(),
            action: "aaaaaaaa".into(),
            state,
            bound,
            warnings: vec!["w".into()],
            error: None,
        };
        assert!(!action.is_late(&event(State::Expired, 0)));
        assert_eq!(action.news(&event(State::Expired, 0)).len(), 2);
        // The agent says it as well, and what it said before comes late.
        assert!(action.is_late(&event(State::Expired, 0)));
        assert!(action.is_late(&event(State::Bound, 1)));
        assert_eq!(action.state, State::Expired);
    }

    #[test]
    fn a_symbol_has_no_line() {
        let mut bound = BoundAddress {
            module: "libc.so.6".into(),
            address: "0x7f00".into(),
            function: "nanosleep".into(),
            file: String::new(),
            line: 0,
            resume: "emulate".into(),
        };
        assert_eq!(
            address_line(&bound),
            "0x7f00 nanosleep (libc.so.6, emulate)"
        );
        (bound.file, bound.line) = ("a.c".into(), 9);
        assert!(address_line(&bound).contains("nanosleep at a.c:9 ("));
    }

    #[test]
    fn what_is_waited_for_is_told_in_the_agents_words() {
        assert!(waits(&[]).starts_with("waits"));
        assert_eq!(
            waits(&["waits for \x1b[2J".to_string()]),
            "waits for \\u{1b}[2J"
        );
    }

    #[test]
    fn an_action_is_called_by_its_name_or_place() {
        assert_eq!(label(&spec(Some("sold"))), "log `sold`");
        assert_eq!(label(&spec(None)), "log at a.c:9");
        let mut counter = spec(None);
        counter.kind = ActionKind::Counter(CounterSpec {
            location: "a.c:9".into(),
            by: None,
        });
        assert_eq!(label(&counter), "counter at a.c:9");
        assert_eq!(
            tracked(None).bound_line(1),
            "log at a.c:9 aaaaaaaa is bound at 1 address"
        );
    }

    #[test]
    fn a_command_fails_when_one_of_its_actions_does() {
        assert_eq!(failed_status(&[]), None);
        assert_eq!(failed_status(&[tracked(None)]), None);
        assert_eq!(
            failed_status(&[tracked(Some("bad_template")), tracked(None)]),
            Some(exit::COULD_NOT)
        );
        assert_eq!(failed_status(&[tracked(None), tracked(None)]), None);
        assert_eq!(
            failed_status(&[tracked(Some("bad_template")), tracked(Some("no_such_line"))]),
            Some(exit::USAGE)
        );
    }
}
