use lr_agent::client::Client;
use lr_protocol::{ActionSpec, ActionTarget, NewAction};

use super::tracked::Tracked;
use crate::failure::Failure;

/// The actions of a command, as far as the server took them.
#[derive(Debug)]
pub(super) struct Placed {
    pub actions: Vec<Tracked>,
    /// Why the next one was not taken; those before it stand.
    pub failure: Option<Failure>,
}

/// Hands the actions to the server, in order, until it refuses one.
pub(super) async fn place(
    client: &Client,
    agent: &str,
    lease: Option<&str>,
    specs: &[ActionSpec],
) -> Placed {
    let mut placed = Placed {
        actions: Vec::new(),
        failure: None,
    };
    for spec in specs {
        let action = NewAction {
            spec: spec.clone(),
            target: ActionTarget::Agent(agent.into()),
            lease: lease.map(str::to_string),
        };
        match client.new_action(&action).await {
            Ok(action) => placed.actions.push(Tracked::new(&action)),
            Err(error) => {
                placed.failure = Some(error.into());
                break;
            }
        }
    }
    placed
}

impl Placed {
    /// Whether nothing was taken because the agent is on its way out.
    pub(super) fn agent_is_leaving(&self) -> bool {
        let Some(Failure::Problem(problem)) = &self.failure else {
            return false;
        };
        self.actions.is_empty()
            && matches!(
                problem.code.as_str(),
                "agent_detaching" | "not_found" | "process_gone"
            )
    }
}
