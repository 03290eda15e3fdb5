use clap::Args;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::tell::tell;
use crate::verbs::rm::{Confirmed, until_confirmed};

#[derive(Args, Clone, Debug)]
pub(crate) struct Stop {
    /// All actions, whoever placed them
    #[arg(long, required = true)]
    all: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Stop {
    /// Returns when every agent has said that nothing is planted any more.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        // A server that does not run has no agents.
        let Some(connected) = self.server.connect().await? else {
            tell!("nothing to stop: no server runs");
            return Ok(());
        };
        let client = connected.client;
        let stopped = client.stop_actions().await?.actions;
        let mut waiting = Vec::new();
        for id in &stopped {
            if until_confirmed(&client, id).await? == Confirmed::NotYet {
                waiting.push(id.as_str());
            }
        }
        let actions = if stopped.len() == 1 {
            "action"
        } else {
            "actions"
        };
        tell!("stopped {} {actions}", stopped.len());
        match waiting.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(
                "not_confirmed",
                format!("not confirmed by their agents yet: {}", waiting.join(", ")),
            )
            .hint("an agent that is not heard of lets go within a minute")),
        }
    }
}
