use clap::Args;
use lr_agent::client::Client;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::selector;
use crate::tell::tell;

#[derive(Args, Clone, Debug)]
pub(crate) struct Retake {
    /// Their ids or names, as `lr actions` lists them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Retake {
    /// Every one is tried; the exit status is that of the first that failed.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let mut first = Ok(());
        for id in &self.ids {
            if let Err(failure) = retake(&client, id).await {
                failure.tell();
                first = first.and(Err(Failure::Told(failure.exit_status())));
            }
        }
        first
    }
}

async fn retake(client: &Client, selector: &str) -> Result<(), Failure> {
    let id = selector::action(client, selector).await?.id;
    let action = client.retake_action(&id).await?;
    tell!("{id} begins again, as version {}", action.version);
    Ok(())
}
