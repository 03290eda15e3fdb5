use clap::Args;
use lr_agent::client::Local;
use lr_protocol::PROTOCOL_VERSION;

use crate::escape::escaped;
use crate::failure::Failure;
use crate::output::print;

#[derive(Args, Clone, Debug)]
pub(crate) struct Version {}

impl Version {
    /// This version, and that of the local server if one runs. It never fails for the server.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let own = env!("CARGO_PKG_VERSION");
        print(&format!("lr {own} (protocol {PROTOCOL_VERSION})\n"))?;
        let Ok(local) = Local::of_this_process() else {
            return Ok(());
        };
        if let Ok(Some(server)) = local.find().await {
            let info = server.info;
            print(&format!(
                "lr-server {} (protocol {}), pid {}\n",
                escaped(&info.version),
                info.protocol_version,
                info.pid
            ))?;
        }
        Ok(())
    }
}
