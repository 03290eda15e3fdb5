use clap::Args;
use lr_agent::client::{Arrival, Client, Endpoint, Local, Token};

use crate::failure::Failure;
use crate::progress::telling;
use crate::tell::tell;

/// Which server a verb speaks with.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerArgs {
    /// The server: unix:/path or http://host:port [default: LR_SERVER, else this user's local one]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// A server that answers to requests, and where its data is if it is the local one.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) local: Option<Local>,
}

impl ServerArgs {
    /// The server that is named; else the local one, started if it does not run.
    pub(crate) async fn connect_or_start(&self) -> Result<Connected, Failure> {
        if let Some(client) = self.named()? {
            return Ok(client);
        }
        let local = Local::of_this_process()?;
        let server = telling("starting the local server", local.find_or_start()).await?;
        if server.arrival == Arrival::Replaced {
            tell!("replaced the local server of an older version");
        }
        Ok(Connected {
            client: server.client,
            local: Some(local),
        })
    }

    /// The server that is named; else the local one, if it runs.
    pub(crate) async fn connect(&self) -> Result<Option<Connected>, Failure> {
        if let Some(client) = self.named()? {
            return Ok(Some(client));
        }
        let local = Local::of_this_process()?;
        Ok(local.find().await?.map(|server| Connected {
            client: server.client,
            local: Some(local),
        }))
    }

    /// For what needs an agent: without a server there is none.
    pub(crate) async fn connect_to_agents(&self) -> Result<Connected, Failure> {
        self.connect().await?.ok_or_else(no_agent)
    }

    fn named(&self) -> Result<Option<Connected>, Failure> {
        let variable = std::env::var("LR_SERVER").unwrap_or_default();
        let name = self.server.as_deref().unwrap_or(&variable);
        if name.is_empty() {
            return Ok(None);
        }
        let endpoint = Endpoint::parse(name)?;
        let token = Token::from_env().map_err(|why| Failure::new("usage", why))?;
        Ok(Some(Connected {
            client: Client::new(endpoint, token),
            local: None,
        }))
    }
}

pub(crate) fn no_agent() -> Failure {
    Failure::new("no_agent", "no process is attached")
        .hint("`lr attach <PID>` attaches one; `lr ps` lists what can be attached")
}
