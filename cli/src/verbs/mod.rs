//! One verb per file, in the order of the help text.

pub(crate) mod actions;
pub(crate) mod agents;
pub(crate) mod attach;
pub(crate) mod completions;
pub(crate) mod detach;
pub(crate) mod doctor;
pub(crate) mod log;
pub(crate) mod portal;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod server;
pub(crate) mod sql;
pub(crate) mod tail;
pub(crate) mod version;

use crate::args::Verb;
use crate::failure::Failure;

pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Attach(verb) => verb.run().await,
        Verb::Log(verb) => verb.run().await,
        Verb::Ps(verb) => verb.run().await,
        Verb::Agents(verb) => verb.run().await,
        Verb::Detach(verb) => verb.run().await,
        Verb::Actions(verb) => verb.run().await,
        Verb::Rm(verb) => verb.run().await,
        Verb::Tail(verb) => verb.run().await,
        Verb::Sql(verb) => verb.run().await,
        Verb::Server(verb) => verb.run().await,
        Verb::Portal(verb) => verb.run().await,
        Verb::Doctor(verb) => verb.run().await,
        Verb::Completions(verb) => verb.run(),
        Verb::Version(verb) => verb.run().await,
    }
}
