use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lr_protocol::{PROTOCOL_VERSION, Problem, ServerInfo};
use tokio::time::{Instant, sleep};

use super::spawn::{self, Spawned};
use super::state_dir::{Presence, StateDirError};
use super::{Client, ClientError, Endpoint, Invoker, Listing, StateDir};

/// Where the local server of a user is, or would be.
#[derive(Clone, Debug)]
pub struct Local {
    invoker: Invoker,
    state_dir: StateDir,
}

/// A local server that answers, and that this version can speak with.
#[derive(Clone, Debug)]
pub struct LocalServer {
    pub client: Client,
    pub info: ServerInfo,
    pub arrival: Arrival,
}

/// How it came to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    Found,
    Started,
    /// One of an older version had nothing to do and made way.
    Replaced,
}

/// Why there is no local server to speak with.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error("`lr-server` is not installed beside `lr`")]
    NotInstalled { looked: Vec<PathBuf> },
    #[error("cannot start the local server: {0}")]
    Spawn(#[source] io::Error),
    /// It looked, and says why not.
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
    #[error("the local server ended before it was ready")]
    Died {
        log: PathBuf,
        /// What it said at the end; empty if nothing.
        last: String,
    },
    #[error("the local server was not ready within {} s", START_LIMIT.as_secs())]
    Slow { log: PathBuf },
    #[error(
        "a local server of version {version} runs (pid {pid}), which is too old for this lr, and it is in use"
    )]
    TooOld {
        version: String,
        pid: u32,
        /// Names and pids of what it is attached to.
        agents: Vec<String>,
    },
    #[error("a local server of version {version} runs (pid {pid}), which is too new for this lr")]
    TooNew { version: String, pid: u32 },
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Opening a database of many gigabytes after a crash replays its log first.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Between two looks for what another process is doing.
const LOOK_AGAIN: Duration = Duration::from_millis(30);

/// How long a server that was told to stop may take to store what it holds.
const STOP_LIMIT: Duration = Duration::from_secs(30);

impl Local {
    /// That of the user who runs this process, or who typed its `sudo`.
    pub fn of_this_process() -> Result<Local, LocalError> {
        let invoker = Invoker::of_this_process()?;
        let state_dir = StateDir::of(&invoker);
        Ok(Local { invoker, state_dir })
    }

    pub fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }

    pub fn invoker(&self) -> &Invoker {
        &self.invoker
    }

    /// The server, if one runs; versions are not compared.
    pub async fn find(&self) -> Result<Option<LocalServer>, LocalError> {
        if self.state_dir.check()? == Presence::Absent {
            return Ok(None);
        }
        let client = Client::new(Endpoint::Unix(self.state_dir.socket()), None);
        match client.server_info().await {
            Ok(info) => Ok(Some(LocalServer {
                client,
                info,
                arrival: Arrival::Found,
            })),
            Err(ClientError::Unreachable { source, .. }) if is_nobody(&source) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The server that runs, or a new one. An older one without anything to do makes way.
    pub async fn find_or_start(&self) -> Result<LocalServer, LocalError> {
        let Some(server) = self.find().await? else {
            return self.start(Arrival::Started).await;
        };
        match judge(&server.info) {
            Verdict::Use => Ok(server),
            Verdict::TooNew => Err(LocalError::TooNew {
                version: server.info.version,
                pid: server.info.pid,
            }),
            Verdict::Replace => {
                self.stop(&server).await?;
                self.start(Arrival::Replaced).await
            }
            Verdict::TooOld => Err(LocalError::TooOld {
                agents: names_of_agents(&server.client).await,
                version: server.info.version,
                pid: server.info.pid,
            }),
        }
    }

    /// Returns when the server is gone: what it held is stored.
    pub async fn stop(&self, server: &LocalServer) -> Result<(), LocalError> {
        let process = running(server.info.pid);
        server.client.stop_server().await?;
        let deadline = Instant::now() + STOP_LIMIT;
        // Its lock is free when its process has ended, which is after its socket went.
        while process.is_some() && running(server.info.pid) == process {
            if Instant::now() > deadline {
                return Err(LocalError::Slow {
                    log: self.state_dir.server_log(),
                });
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Two of us may be here at once. The server's lock lets one of them in, and the other finds
    /// that one's server.
    async fn start(&self, arrival: Arrival) -> Result<LocalServer, LocalError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let arrival = match spawn::spawn(&self.invoker, &self.state_dir, deadline).await? {
                Spawned::Ready => arrival,
                Spawned::AnotherRuns => Arrival::Found,
            };
            if let Some(server) = self.find().await? {
                return Ok(LocalServer { arrival, ..server });
            }
            if Instant::now() > deadline {
                return Err(LocalError::Slow {
                    log: self.state_dir.server_log(),
                });
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl LocalError {
    pub fn code(&self) -> &str {
        match self {
            LocalError::StateDir(error) => error.code(),
            LocalError::NotInstalled { .. } => "server_not_installed",
            LocalError::Spawn(_) | LocalError::Died { .. } | LocalError::Slow { .. } => {
                "server_unreachable"
            }
            LocalError::Refused(problem) => &problem.code,
            LocalError::TooOld { .. } => "server_too_old",
            LocalError::TooNew { .. } => "protocol_mismatch",
            LocalError::Client(error) => error.code(),
        }
    }

    pub fn to_problem(&self) -> Problem {
        let mut problem = Problem {
            code: self.code().into(),
            title: self.to_string(),
            status: 503,
            detail: String::new(),
            suggestions: Vec::new(),
        };
        match self {
            LocalError::Refused(problem) => return problem.as_ref().clone(),
            LocalError::Client(error) => return error.to_problem(),
            LocalError::Spawn(_) => {}
            LocalError::StateDir(error) => problem.suggestions.push(error.suggestion()),
            LocalError::NotInstalled { looked } => {
                let looked: Vec<_> = looked.iter().map(|p| p.display().to_string()).collect();
                problem.detail = format!("looked for {}", looked.join(", "));
                problem.suggestions = vec![
                    "install `lr-server` beside `lr`; `cargo xtask install` does".into(),
                    "or name a server that runs elsewhere with --server".into(),
                ];
            }
            LocalError::Died { log, last } => {
                problem.detail = last.clone();
                problem.suggestions = vec![format!("{} says more", log.display())];
            }
            LocalError::Slow { log } => {
                problem.suggestions = vec![format!("{} says more", log.display())];
            }
            LocalError::TooOld { agents, .. } => {
                problem.detail = format!("it is attached to {}", agents.join(", "));
                problem.suggestions = vec!["detach those with the lr of that version, or wait until they end; then try again".into()];
            }
            LocalError::TooNew { .. } => {
                problem.suggestions = vec!["use the lr that was installed with it".into()];
            }
        }
        problem
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Use,
    Replace,
    TooOld,
    TooNew,
}

fn judge(info: &ServerInfo) -> Verdict {
    let ours = version_numbers(env!("CARGO_PKG_VERSION"));
    let older = info.protocol_version < PROTOCOL_VERSION
        || matches!((version_numbers(&info.version), ours), (Some(theirs), Some(ours)) if theirs < ours);
    // A server speaks its own version of the protocol and the one before.
    let speaks_ours = info.protocol_version == PROTOCOL_VERSION
        || info.protocol_version.checked_sub(1) == Some(PROTOCOL_VERSION);
    let idle = info.agents == 0 && info.leases == 0;
    match (older, speaks_ours) {
        (true, _) if idle => Verdict::Replace,
        (_, true) => Verdict::Use,
        (true, false) => Verdict::TooOld,
        (false, false) => Verdict::TooNew,
    }
}

/// `1.2.3` of `1.2.3-rc.1`; versions that differ only behind that count as the same.
fn version_numbers(version: &str) -> Option<[u64; 3]> {
    let release = version.split(['-', '+']).next()?;
    let mut numbers = release.split('.').map(|number| number.parse().ok());
    let triple = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(triple)
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Which process has that pid, if it runs still.
fn running(pid: u32) -> Option<String> {
    let facts = crate::host::ProcessFacts::read(pid).ok()?;
    (!facts.zombie).then(|| facts.process_id())
}

async fn names_of_agents(client: &Client) -> Vec<String> {
    let agents = client.agents(Listing::Current).await.unwrap_or_default();
    agents
        .iter()
        .map(|agent| format!("{} (pid {})", agent.name, agent.process.pid))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, protocol_version: u32, agents: u32, leases: u32) -> ServerInfo {
        ServerInfo {
            version: version.into(),
            protocol_version,
            pid: 1,
            started_at: 0,
            state_dir: String::new(),
            portal: String::new(),
            agents,
            leases,
        }
    }

    const OURS: &str = env!("CARGO_PKG_VERSION");

    #[test]
    fn a_server_of_our_version_is_used() {
        assert_eq!(judge(&info(OURS, PROTOCOL_VERSION, 0, 0)), Verdict::Use);
        assert_eq!(judge(&info(OURS, PROTOCOL_VERSION, 1, 1)), Verdict::Use);
    }

    #[test]
    fn an_older_one_makes_way_when_it_has_nothing_to_do() {
        assert_eq!(
            judge(&info("0.0.9", PROTOCOL_VERSION, 0, 0)),
            Verdict::Replace
        );
        assert_eq!(
            judge(&info("0.0.9", PROTOCOL_VERSION - 1, 0, 0)),
            Verdict::Replace
        );
        assert_eq!(judge(&info("0.0.9", PROTOCOL_VERSION, 1, 0)), Verdict::Use);
        assert_eq!(judge(&info("0.0.9", PROTOCOL_VERSION, 0, 1)), Verdict::Use);
        assert_eq!(
            judge(&info("0.0.9", PROTOCOL_VERSION - 1, 1, 0)),
            Verdict::TooOld
        );
    }

    #[test]
    fn a_newer_one_stays_and_speaks_the_version_before() {
        assert_eq!(
            judge(&info("99.0.0", PROTOCOL_VERSION + 1, 0, 0)),
            Verdict::Use
        );
        assert_eq!(
            judge(&info("99.0.0", PROTOCOL_VERSION + 2, 0, 0)),
            Verdict::TooNew
        );
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version_numbers("0.10.0") > version_numbers("0.9.9"));
        assert_eq!(version_numbers("1.2.3-rc.1"), Some([1, 2, 3]));
        for odd in ["", "1.2", "1.2.3.4", "x.y.z"] {
            assert_eq!(version_numbers(odd), None, "{odd}");
        }
    }
}
