use clap::Args;

use crate::connect::ServerArgs;
use crate::failure::Failure;
use crate::output::print;
use crate::tell::tell;

#[derive(Args, Clone, Debug)]
pub(crate) struct Portal {
    #[command(flatten)]
    server: ServerArgs,
}

impl Portal {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_or_start().await?.client;
        let code = client.portal_code().await?;
        print(&format!("{}\n", code.url))?;
        tell!(
            "opens the portal in one browser, within {} s; after that, ask for another",
            code.expires_in_s
        );
        Ok(())
    }
}
