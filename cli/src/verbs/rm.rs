use clap::Args;

use crate::connect::ServerArgs;
use crate::escape::escaped;
use crate::failure::Failure;

#[derive(Args, Clone, Debug)]
pub(crate) struct Rm {
    /// Their ids, as `lr actions` lists them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    server: ServerArgs,
}

impl Rm {
    /// Every one is tried; the exit status is that of the first that failed.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let mut first = Ok(());
        for id in &self.ids {
            match client.remove_action(id).await {
                Ok(()) => eprintln!("removed {}", escaped(id)),
                Err(error) => {
                    let failure = Failure::from(error);
                    failure.tell();
                    first = first.and(Err(Failure::Told(failure.exit_status())));
                }
            }
        }
        first
    }
}
