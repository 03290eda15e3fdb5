use std::time::Duration;

use clap::Args;
use lr_agent::client::{Client, ClientError};
use tokio::time::{Instant, sleep};

use crate::connect::ServerArgs;
use crate::escape::escaped;
use crate::failure::Failure;
use crate::selector;
use crate::tell::tell;
use crate::verbs::each::each;

#[derive(Args, Clone, Debug)]
pub(crate) struct Rm {
    /// Their ids or names, as `lr actions` lists them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// An agent that is there takes milliseconds, on a busy machine seconds; one that is not is not
/// waited for long.
const CONFIRM_LIMIT: Duration = Duration::from_secs(15);

impl Rm {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        each(&self.ids, async |id| {
            match remove(&client, id).await? {
                Confirmed::Yes => tell!("removed {}", escaped(id)),
                Confirmed::NotYet => tell!(
                    "removed {}; its agent has not confirmed it yet",
                    escaped(id)
                ),
            }
            Ok(())
        })
        .await
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Confirmed {
    Yes,
    NotYet,
}

async fn remove(client: &Client, selector: &str) -> Result<Confirmed, Failure> {
    let id = selector::action(client, selector).await?.id;
    client.remove_action(&id).await?;
    Ok(until_confirmed(client, &id).await?)
}

/// Until every agent has said that nothing of it is planted any more.
pub(crate) async fn until_confirmed(client: &Client, id: &str) -> Result<Confirmed, ClientError> {
    let deadline = Instant::now() + CONFIRM_LIMIT;
    loop {
        let statuses = client.action(id).await?.statuses;
        if statuses.iter().all(|status| status.state.is_final()) {
            return Ok(Confirmed::Yes);
        }
        if Instant::now() > deadline {
            return Ok(Confirmed::NotYet);
        }
        sleep(Duration::from_millis(20)).await;
    }
}
