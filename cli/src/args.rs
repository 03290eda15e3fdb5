use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use crate::tell::tell;

use crate::verbs::{
    actions, agents, attach, completions, counter, detach, disable, doctor, duplicate, edit,
    enable, explain, log, metric, metrics, portal, ps, repair, retake, rm, server, show, snapshot,
    snapshots, sql, stop, tail, top, version,
};

/// Logs from running processes, at any source line, and SQL over what they saw.
#[derive(Parser, Debug)]
#[command(
    name = "lr",
    version,
    after_help = "Environment: LR_SERVER, LR_TOKEN, LR_STATE_DIR, NO_COLOR\n\
                  Exit status: 0 done, 1 could not, 2 usage, 3 the process is gone, 4 no permission"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Attach to a process, add actions to it and print what they see
    Attach(attach::Attach),
    /// Add a log to a process that is attached
    Log(log::Log),
    /// Add a snapshot: stack and variables when a line is reached; or show those of a core
    Snapshot(snapshot::Snapshot),
    /// Count how often a line is reached
    Counter(counter::Counter),
    /// Measure a number: count, mean, percentiles each second
    Metric(metric::Metric),
    /// Say what a location is: its addresses, and the variables that a log there can have
    Explain(explain::Explain),
    /// List the processes that can be attached to
    Ps(ps::Ps),
    /// List the agents: what is attached
    Agents(agents::Agents),
    /// Let go of a process
    Detach(detach::Detach),
    /// List the actions, or show one with its addresses and counts
    Actions(actions::Actions),
    /// Make another version of an action
    Edit(edit::Edit),
    /// Add an action that is like another
    Duplicate(duplicate::Duplicate),
    /// Start actions again that are done, or were
    Retake(retake::Retake),
    /// Switch actions on
    Enable(enable::Enable),
    /// Switch actions off; they stay
    Disable(disable::Disable),
    /// Remove actions
    Rm(rm::Rm),
    /// Remove all actions
    Stop(stop::Stop),
    /// Print events as they are stored
    Tail(tail::Tail),
    /// Show what each action costs and keeps, as it goes on
    Top(top::Top),
    /// Show what counters and metrics have counted
    Metrics(metrics::Metrics),
    /// List the snapshots
    Snapshots(snapshots::Snapshots),
    /// Show a snapshot
    Show(show::Show),
    /// Query what was stored; a prompt on a terminal
    Sql(sql::Sql),
    /// Start, stop or look at the local server
    Server(server::Server),
    /// Print a link that opens the portal once
    Portal(portal::Portal),
    /// Say what stands in the way of attaching
    Doctor(doctor::Doctor),
    /// Put bytes back that a killed tracer left in a process
    Repair(repair::Repair),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Print the version
    Version(version::Version),
}

/// Verbs and options that other versions have or will have.
const NOT_YET: &[&str] = &[
    "tictoc", "duration", "agent", "login", "users", "keys", "pools", "audit", "erase",
];

/// The verb of this process's arguments. Ends the process on `--help` and on wrong usage.
pub(crate) fn parse() -> Verb {
    match Cli::try_parse() {
        Ok(cli) => cli.verb,
        Err(error) => {
            let _ = error.print();
            if let Some(word) = not_yet(&error) {
                tell!("`{word}` is not in this version");
            }
            std::process::exit(error.exit_code());
        }
    }
}

fn not_yet(error: &clap::Error) -> Option<&'static str> {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else {
        return None;
    };
    let word = word.trim_start_matches("--");
    NOT_YET.iter().find(|known| **known == word).copied()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn check_err(words: &[&str], expected: ErrorKind) -> clap::Error {
        let error = Cli::try_parse_from(words).unwrap_err();
        assert_eq!(error.kind(), expected, "{words:?}");
        assert_eq!(error.exit_code(), i32::from(crate::exit::USAGE));
        error
    }

    #[test]
    fn wrong_usage_is_refused() {
        check_err(&["lr", "attach"], ErrorKind::MissingRequiredArgument);
        check_err(&["lr", "attach", "minus-one"], ErrorKind::ValueValidation);
        check_err(
            &["lr", "attach", "1", "--comm", "x"],
            ErrorKind::ArgumentConflict,
        );
        check_err(
            &["lr", "attach", "1", "--log", "a.c:1"],
            ErrorKind::WrongNumberOfValues,
        );
        check_err(
            &["lr", "attach", "1", "--hits", "0"],
            ErrorKind::ValueValidation,
        );
        check_err(
            &["lr", "attach", "1", "--for", "10"],
            ErrorKind::ValueValidation,
        );
        check_err(&["lr", "log", "a.c:1"], ErrorKind::MissingRequiredArgument);
        check_err(&["lr", "metric", "f"], ErrorKind::MissingRequiredArgument);
        check_err(&["lr", "snapshot"], ErrorKind::MissingRequiredArgument);
        check_err(
            &["lr", "snapshot", "f", "--core", "x"],
            ErrorKind::ArgumentConflict,
        );
        check_err(&["lr", "stop"], ErrorKind::MissingRequiredArgument);
        check_err(&["lr", "no-such-verb"], ErrorKind::InvalidSubcommand);
    }

    #[test]
    fn what_other_versions_have_is_said_not_to_be_here() {
        let error = check_err(&["lr", "tictoc", "a.c:1"], ErrorKind::InvalidSubcommand);
        assert_eq!(not_yet(&error), Some("tictoc"));
        let error = check_err(
            &["lr", "attach", "1", "--duration", "x"],
            ErrorKind::UnknownArgument,
        );
        assert_eq!(not_yet(&error), Some("duration"));
        let error = check_err(&["lr", "nonsense"], ErrorKind::InvalidSubcommand);
        assert_eq!(not_yet(&error), None);
    }

    #[test]
    fn actions_of_all_kinds_have_the_options() {
        let words = [
            "lr",
            "attach",
            "1",
            "--counter",
            "f",
            "--metric",
            "g",
            "-n",
            "--snapshot",
            "h",
            "--log",
            "i",
            "x",
            "--counter",
            "j",
            "--by",
            "c",
            "--watch",
            "w",
            "--if",
            "n > 1",
            "--level",
            "warn",
            "--unit",
            "ms",
        ];
        let Verb::Attach(attach) = Cli::try_parse_from(words).unwrap().verb else {
            panic!()
        };
        let specs = attach.specs();
        let kinds: Vec<_> = specs
            .iter()
            .map(|spec| (spec.kind.word(), spec.kind.location()))
            .collect();
        assert_eq!(
            kinds,
            [
                ("log", "i"),
                ("snapshot", "h"),
                ("counter", "f"),
                ("counter", "j"),
                ("metric", "g")
            ]
        );
        assert!(
            specs
                .iter()
                .all(|spec| spec.condition.as_deref() == Some("n > 1"))
        );
        let lr_protocol::ActionKind::Metric(metric) = &specs[4].kind else {
            panic!()
        };
        assert_eq!(
            (
                metric.expression.as_str(),
                metric.by.as_deref(),
                metric.unit.as_str()
            ),
            ("-n", Some("c"), "ms")
        );
    }

    #[test]
    fn logs_are_pairs_and_may_begin_with_a_hyphen() {
        let words = [
            "lr", "attach", "1", "--log", "f", "-{x}", "--log", "g", "y", "--hits", "2",
        ];
        let Verb::Attach(attach) = Cli::try_parse_from(words).unwrap().verb else {
            panic!()
        };
        let specs = attach.specs();
        assert_eq!(specs.len(), 2);
        assert!(specs.iter().all(|spec| spec.max_hits == Some(2)));
        let lr_protocol::ActionKind::Log(log) = &specs[0].kind else {
            panic!()
        };
        assert_eq!(
            (log.location.as_str(), log.template.as_str()),
            ("f", "-{x}")
        );
    }
}
