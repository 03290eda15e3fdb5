use std::time::Duration;

use clap::Args;
use lr_agent::client::{Client, Listing};
use lr_protocol::{Action, ActionTarget, Agent, AgentState};
use tokio::time::{Instant, sleep};

use crate::connect::ServerArgs;
use crate::escape::escaped;
use crate::failure::Failure;
use crate::selector;
use crate::tell::tell;
use crate::verbs::attach::tracked::label;

#[derive(Args, Clone, Debug)]
pub(crate) struct Detach {
    /// Which agent: an id, name, pid or tag:k=v [default: the one that is attached]
    #[arg(value_name = "SEL")]
    agent: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

const LIMIT: Duration = Duration::from_secs(15);

impl Detach {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.server.connect_to_agents().await?.client;
        let agents = client.agents(Listing::Current).await?;
        let chosen = selector::choose(&agents, self.agent.as_deref())?;
        let actions = client.actions(Listing::Current).await?;
        for agent in &chosen {
            for action in actions.iter().filter(|action| is_on(action, agent)) {
                tell!(
                    "ends {} {} of {}",
                    escaped(&label(&action.spec)),
                    action.id,
                    escaped(&action.created_by)
                );
            }
            client.detach(&agent.id).await?;
        }
        for agent in chosen {
            until_gone(&client, agent).await?;
            tell!(
                "detached from {} (pid {})",
                escaped(&agent.name),
                agent.process.pid
            );
        }
        Ok(())
    }
}

fn is_on(action: &Action, agent: &Agent) -> bool {
    match &action.target {
        ActionTarget::Agent(id) => *id == agent.id,
        // One for many goes on elsewhere.
        ActionTarget::Tag(_) => false,
    }
}

async fn until_gone(client: &Client, agent: &Agent) -> Result<(), Failure> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let agents = client.agents(Listing::Current).await?;
        let there = agents
            .iter()
            .any(|other| other.id == agent.id && other.state != AgentState::Ended);
        if !there {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::new(
                "not_confirmed",
                format!(
                    "{} has not let go within {} s",
                    escaped(&agent.name),
                    LIMIT.as_secs()
                ),
            )
            .tried("it was told to; an agent that is not heard of lets go within a minute")
            .hint("`lr agents` says when it is gone"));
        }
        sleep(Duration::from_millis(30)).await;
    }
}
