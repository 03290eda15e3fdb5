use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use lr_agent::client::{Arrival, Local, LocalServer};
use lr_protocol::ServerInfo;

use crate::escape::escaped_json;
use crate::failure::Failure;
use crate::output::print;
use crate::progress::telling;
use crate::tell::tell;
use crate::time;

#[derive(Args, Clone, Debug)]
pub(crate) struct Server {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Start the local server, unless it runs
    Start,
    /// Stop the local server; what it holds is stored first
    Stop,
    /// Say whether the local server runs, and where
    Status {
        /// One line of JSON
        #[arg(long)]
        json: bool,
    },
}

impl Server {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let local = Local::of_this_process()?;
        match self.what {
            What::Start => start(&local).await,
            What::Stop => stop(&local).await,
            What::Status { json } => status(&local, json).await,
        }
    }
}

async fn start(local: &Local) -> Result<(), Failure> {
    let server = telling("starting the local server", local.find_or_start()).await?;
    let how = match server.arrival {
        Arrival::Found => "runs already",
        Arrival::Started => "started",
        Arrival::Replaced => "started in place of an older one",
    };
    tell!("the local server {how} (pid {})", server.info.pid);
    Ok(())
}

async fn stop(local: &Local) -> Result<(), Failure> {
    let Some(server) = local.find().await? else {
        tell!("no local server runs");
        return Ok(());
    };
    let LocalServer { info, .. } = &server;
    if info.agents > 0 {
        let noun = if info.agents == 1 {
            "process"
        } else {
            "processes"
        };
        tell!("{} {noun} will be let go within a minute", info.agents);
    }
    telling("waiting until everything is stored", local.stop(&server)).await?;
    tell!("the local server has ended (pid {})", info.pid);
    Ok(())
}

/// A server that does not run is an answer, with the exit status of what is not done.
async fn status(local: &Local, json: bool) -> Result<(), Failure> {
    let Some(server) = local.find().await? else {
        return Err(Failure::new("server_unreachable", "no local server runs")
            .tried(local.state_dir().socket().display().to_string())
            .hint("`lr server start` starts one; so does every verb that needs it"));
    };
    let info = server.info;
    if json {
        let line = serde_json::to_string(&info).expect("its keys are strings");
        return print(&format!("{}\n", escaped_json(&line)));
    }
    print(&shown(&info, local, &TimeZone::system()))
}

fn shown(info: &ServerInfo, local: &Local, zone: &TimeZone) -> String {
    let lines = [
        ("version", info.version.clone()),
        ("pid", info.pid.to_string()),
        ("since", time::local_micros(info.started_at, zone)),
        ("socket", local.state_dir().socket().display().to_string()),
        ("data", info.state_dir.clone()),
        ("portal", format!("{} (lr portal opens it)", info.portal)),
        ("agents", info.agents.to_string()),
        ("clients", info.leases.to_string()),
    ];
    lines
        .iter()
        .map(|(name, value)| format!("{name:<8} {}\n", crate::escape::escaped(value)))
        .collect()
}
