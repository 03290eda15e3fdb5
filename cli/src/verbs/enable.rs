use clap::Args;
use lr_agent::client::Client;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::selector;
use crate::tell::tell;
use crate::verbs::each::each;

#[derive(Args, Clone, Debug)]
pub(crate) struct Enable {
    /// Their ids or names, as `lr actions` lists them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Enable {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        each(&self.ids, async |id| enable(&client, id).await).await
    }
}

async fn enable(client: &Client, selector: &str) -> Result<(), Failure> {
    let id = selector::action(client, selector).await?.id;
    client.enable_action(&id).await?;
    tell!("enabled {id}");
    Ok(())
}
