use std::time::Duration;

use lr_agent::client::{Client, LiveStream};
use lr_protocol::{EndReason, LiveEvent};
use tokio::time::timeout;

use super::agent::Attached;
use super::place::Placed;
use super::tracked::{Tracked, failed_status};
use crate::escape::escaped;
use crate::event::{EventLines, Form};
use crate::exit;
use crate::failure::Failure;
use crate::output::print;
use crate::progress::telling;
use crate::tell::tell;

/// Resolving a location in a large program for the first time indexes its debug info.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// Returns when the agent has said of each action what it can do. The actions stay. The
/// stream was there before them.
pub(super) async fn settle(
    client: &Client,
    mut live: LiveStream,
    attached: &Attached,
    placed: Placed,
    form: Form,
) -> Result<(), Failure> {
    if let Some(failure) = placed.failure {
        for action in placed.actions {
            let _ = client.remove_action(&action.id).await;
        }
        return Err(failure);
    }
    let mut actions = placed.actions;
    let lines = EventLines::new(form);
    let settled = async {
        while !actions.iter().all(Tracked::is_settled) {
            let event = live.next().await?.ok_or_else(|| {
                Failure::new(
                    "server_unreachable",
                    "the server ended the stream of events",
                )
            })?;
            match &event {
                LiveEvent::State(state) => {
                    if let Some(action) = actions.iter_mut().find(|a| a.id == state.action) {
                        if let (Form::Json, Some(line)) = (form, lines.line(&event)) {
                            print(&format!("{line}\n"))?;
                        }
                        action.hear(state, client).await?;
                    }
                }
                LiveEvent::End(end) if end.agent == attached.id => {
                    tell!("{}", escaped(&end.message));
                    return Err(Failure::Told(match end.reason {
                        EndReason::Exited | EndReason::Killed | EndReason::Execed => exit::GONE,
                        _ => exit::COULD_NOT,
                    }));
                }
                _ => {}
            }
        }
        Ok(())
    };
    match telling("binding", timeout(SETTLE_LIMIT, settled)).await {
        Ok(settled) => settled?,
        Err(_) => {
            return Err(Failure::new(
                "timeout",
                format!(
                    "not everything was bound within {} s",
                    SETTLE_LIMIT.as_secs()
                ),
            )
            .hint(format!(
                "`lr actions` says what came of it, `lr detach {}` ends it",
                attached.id
            )));
        }
    }
    match failed_status(&actions) {
        Some(status) => Err(Failure::Told(status)),
        None => Ok(()),
    }
}
