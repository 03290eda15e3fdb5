use clap::Args;
use lr_agent::client::Client;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::selector;
use crate::tell::tell;
use crate::verbs::each::each;

#[derive(Args, Clone, Debug)]
pub(crate) struct Retake {
    /// Their ids or names, as `lr actions` lists them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Retake {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        each(&self.ids, async |id| retake(&client, id).await).await
    }
}

async fn retake(client: &Client, selector: &str) -> Result<(), Failure> {
    let id = selector::action(client, selector).await?.id;
    let action = client.retake_action(&id).await?;
    tell!("{id} begins again, as version {}", action.version);
    Ok(())
}
