//! One verb per file, in the order of the help text.

pub(crate) mod actions;
pub(crate) mod agents;
pub(crate) mod attach;
pub(crate) mod completions;
pub(crate) mod counter;
pub(crate) mod detach;
pub(crate) mod disable;
pub(crate) mod doctor;
pub(crate) mod duplicate;
mod each;
pub(crate) mod edit;
pub(crate) mod enable;
pub(crate) mod explain;
pub(crate) mod log;
pub(crate) mod metric;
pub(crate) mod metrics;
pub(crate) mod placing;
pub(crate) mod portal;
pub(crate) mod ps;
pub(crate) mod repair;
pub(crate) mod retake;
pub(crate) mod rm;
pub(crate) mod server;
pub(crate) mod show;
pub(crate) mod snapshot;
pub(crate) mod snapshots;
pub(crate) mod sql;
pub(crate) mod stop;
pub(crate) mod tail;
pub(crate) mod top;
pub(crate) mod version;

use std::future::Future;

use crate::args::Verb;
use crate::failure::Failure;

pub(crate) fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        // Editors call it at every key.
        Verb::Explain(verb) => verb.run(),
        Verb::Snapshot(verb) if verb.is_of_core() => verb.run_on_core(),
        verb => in_runtime(run_async(verb)),
    }
}

/// For what speaks with a server.
pub(crate) fn in_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("internal", format!("cannot start: {error}")))?;
    let done = runtime.block_on(work);
    // Looking up a host's name cannot be given up; nobody waits for it any more.
    runtime.shutdown_background();
    done
}

async fn run_async(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Explain(_) => unreachable!("it needs no runtime"),
        Verb::Attach(verb) => verb.run().await,
        Verb::Log(verb) => verb.run().await,
        Verb::Counter(verb) => verb.run().await,
        Verb::Metric(verb) => verb.run().await,
        Verb::Snapshot(verb) => verb.run().await,
        Verb::Metrics(verb) => verb.run().await,
        Verb::Snapshots(verb) => verb.run().await,
        Verb::Show(verb) => verb.run().await,
        Verb::Enable(verb) => verb.run().await,
        Verb::Disable(verb) => verb.run().await,
        Verb::Edit(verb) => verb.run().await,
        Verb::Duplicate(verb) => verb.run().await,
        Verb::Retake(verb) => verb.run().await,
        Verb::Stop(verb) => verb.run().await,
        Verb::Ps(verb) => verb.run().await,
        Verb::Agents(verb) => verb.run().await,
        Verb::Detach(verb) => verb.run().await,
        Verb::Actions(verb) => verb.run().await,
        Verb::Rm(verb) => verb.run().await,
        Verb::Tail(verb) => verb.run().await,
        Verb::Top(verb) => verb.run().await,
        Verb::Sql(verb) => verb.run().await,
        Verb::Server(verb) => verb.run().await,
        Verb::Portal(verb) => verb.run().await,
        Verb::Doctor(verb) => verb.run().await,
        Verb::Repair(verb) => verb.run(),
        Verb::Completions(verb) => verb.run(),
        Verb::Version(verb) => verb.run().await,
    }
}
