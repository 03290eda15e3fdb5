use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lr_agent::client::{Client, ClientError, Endpoint, Listing};
use lr_agent::{LaunchFailure, LaunchRequest, launch};
use lr_protocol::{Agent, AgentState, Linger};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::time::{Instant, sleep};

use crate::connect::Connected;
use crate::failure::Failure;
use crate::progress::telling;
use crate::tell::tell;

/// The agent that a command wants on a process.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub pid: u32,
    pub process_id: String,
    pub name: String,
    /// Whether the user chose its name or tags.
    pub has_own_name: bool,
    pub tags: BTreeMap<String, String>,
    pub linger: Linger,
    /// Its standard output, if it is started by this command.
    pub output: Option<Arc<OwnedFd>>,
    /// For people.
    pub executable: PathBuf,
}

/// The agent that is on it.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    pub id: String,
    /// The process.
    pub pid: u32,
    pub name: String,
    /// Its process, where it runs on this machine.
    pub agent_pid: Option<u32>,
    /// Whether this command started it; else it was there.
    pub launched: bool,
}

/// How long an agent that was told to let go may take for it.
const LET_GO_LIMIT: Duration = Duration::from_secs(10);

/// How long another command may take to attach. Reading the debug info of a large program for the
/// first time is most of it.
const TURN_LIMIT: Duration = Duration::from_secs(70);

const LOOK_AGAIN: Duration = Duration::from_millis(30);

/// One agent per process: the one that is there, or a new one.
pub(super) async fn join_or_launch(
    connected: &Connected,
    wish: &Wish,
) -> Result<Attached, Failure> {
    // Two commands at once must not both find none.
    let turn = match &connected.local {
        Some(local) => Some(take_turn(local.state_dir().path()).await?),
        None => None,
    };
    let attached = match find(&connected.client, wish).await? {
        Some(agent) => join(agent, wish),
        None => launch_new(connected, wish).await?,
    };
    drop(turn);
    Ok(attached)
}

fn join(agent: Agent, wish: &Wish) -> Attached {
    if wish.has_own_name {
        tell!("an agent is there already: --as and --tag are passed over");
    }
    Attached {
        id: agent.id,
        pid: wish.pid,
        name: agent.name,
        agent_pid: Some(agent.agent_pid),
        launched: false,
    }
}

async fn launch_new(connected: &Connected, wish: &Wish) -> Result<Attached, Failure> {
    let client = &connected.client;
    let request = LaunchRequest {
        pid: wish.pid,
        name: wish.name.clone(),
        tags: wish.tags.clone(),
        server: client.endpoint().clone(),
        linger: wish.linger.clone(),
        log: connected
            .local
            .as_ref()
            .map(|local| local.state_dir().agent_log()),
        output: wish.output.clone(),
    };
    match telling("attaching", launch(&request)).await {
        Ok(registered) => Ok(Attached {
            agent_pid: agent_of(client, &registered.agent_id)
                .await?
                .map(|agent| agent.agent_pid),
            id: registered.agent_id,
            pid: wish.pid,
            name: wish.name.clone(),
            launched: true,
        }),
        // Somebody was faster.
        Err(LaunchFailure::Problem(problem))
            if matches!(problem.code.as_str(), "already_traced" | "already_attached") =>
        {
            match find(client, wish).await? {
                Some(agent) => Ok(join(agent, wish)),
                None => Err(Failure::Problem(problem)),
            }
        }
        Err(failure) => Err(failure.into()),
    }
}

/// The agent on that process, if it stays; one that is letting go is waited for.
async fn find(client: &Client, wish: &Wish) -> Result<Option<Agent>, Failure> {
    let deadline = Instant::now() + LET_GO_LIMIT;
    loop {
        let agents = client.agents(Listing::Current).await?;
        let agent = agents.into_iter().find(|agent| is_on(agent, client, wish));
        match agent {
            Some(agent) if agent.state == AgentState::Attached => return Ok(Some(agent)),
            Some(agent) if agent.state == AgentState::Detaching && Instant::now() < deadline => {}
            // A silent one has disarmed, or will say itself that it is there.
            _ => return Ok(None),
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Pids of other machines mean other processes.
fn is_on(agent: &Agent, client: &Client, wish: &Wish) -> bool {
    let here = match client.endpoint() {
        Endpoint::Unix(_) => true,
        Endpoint::Tcp { .. } => is_this_host(&agent.host),
    };
    here && agent.process.process_id == wish.process_id
}

fn is_this_host(host: &str) -> bool {
    std::fs::read_to_string("/proc/sys/kernel/hostname").is_ok_and(|name| name.trim() == host)
}

/// An agent by its id, while it is there.
pub(super) async fn agent_of(client: &Client, id: &str) -> Result<Option<Agent>, ClientError> {
    let agents = client.agents(Listing::Current).await?;
    Ok(agents
        .into_iter()
        .find(|agent| agent.id == id && agent.state != AgentState::Ended))
}

/// Waits until no other command of this user is attaching. It ends when the lock is dropped, or
/// its process ends.
async fn take_turn(state_dir: &Path) -> Result<Flock<File>, Failure> {
    let failed = |why: String| Failure::new("state_dir", why);
    let deadline = Instant::now() + TURN_LIMIT;
    let mut folder = File::open(state_dir)
        .map_err(|error| failed(format!("cannot open {}: {error}", state_dir.display())))?;
    loop {
        folder = match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(turn) => return Ok(turn),
            Err((folder, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < deadline => folder,
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(failed("another `lr attach` does not come to an end".into()));
            }
            Err((_, errno)) => {
                return Err(failed(format!(
                    "cannot lock {}: {errno}",
                    state_dir.display()
                )));
            }
        };
        sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_takes_its_turn_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let first = take_turn(folder.path()).await.unwrap();
        let second = take_turn(folder.path());
        tokio::pin!(second);
        let early = tokio::time::timeout(LOOK_AGAIN * 3, &mut second).await;
        assert!(early.is_err(), "both had it");
        drop(first);
        second.await.unwrap();
    }
}
