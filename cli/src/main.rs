//! `lr`: the command line, and the processes that it starts of itself.
//!
//! Constraints, and what follows from them:
//! - Every verb is a client of the server, and prints what the server has stored: standard output
//!   has the answer and nothing else, everything about it goes to standard error.
//! - It knows neither debug info nor ptrace: those belong to the agent and tracer processes, which
//!   are this executable under hidden verbs that are looked for before anything else.
//! - Text from targets goes through `escape` wherever it is shown.

mod args;
mod connect;
mod duration;
mod event;
mod exit;
mod failure;
mod hidden;
mod lease;
mod number;
mod options;
mod output;
mod progress;
mod records;
mod selector;
mod signals;
mod style;
mod table;
mod tell;
mod time;
mod verbs;

use std::process::ExitCode;

use lr_agent::escape;

fn main() -> ExitCode {
    if let Some(status) = hidden::run() {
        return ExitCode::from(status);
    }
    let verb = args::parse();
    match verbs::run(verb) {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.exit_status())
        }
    }
}
