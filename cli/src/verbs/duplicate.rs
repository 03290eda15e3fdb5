use clap::Args;
use lr_agent::client::Listing;
use lr_protocol::DuplicateAction;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::output::print;
use crate::selector;

#[derive(Args, Clone, Debug)]
pub(crate) struct Duplicate {
    /// Its id or name, as `lr actions --all` lists it
    #[arg(value_name = "ID")]
    id: String,
    /// The agent of the new one: an id, name, pid or tag:k=v [default: that of the old one]
    #[arg(long, value_name = "SEL")]
    agent: Option<String>,
    /// The name of the new one [default: that of the old one]
    #[arg(long, value_name = "N")]
    name: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Duplicate {
    /// Prints the new one's id.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let original = selector::action(&client, &self.id).await?;
        let target = match self.agent.as_deref() {
            None => None,
            selector => {
                let agents = client.agents(Listing::Current).await?;
                Some(selector::target(&agents, selector)?)
            }
        };
        let different = DuplicateAction {
            name: self.name,
            target,
            lease: None,
        };
        let action = client.duplicate_action(&original.id, &different).await?;
        print(&format!("{}\n", action.id))
    }
}
