use clap::Args;
use lr_agent::client::Client;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::selector;
use crate::tell::tell;
use crate::verbs::each::each;

#[derive(Args, Clone, Debug)]
pub(crate) struct Disable {
    /// Their ids or names, as `lr actions` lists them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Disable {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        each(&self.ids, async |id| disable(&client, id).await).await
    }
}

async fn disable(client: &Client, selector: &str) -> Result<(), Failure> {
    let id = selector::action(client, selector).await?.id;
    client.disable_action(&id).await?;
    tell!("disabled {id}; `lr enable {id}` switches it on again");
    Ok(())
}
