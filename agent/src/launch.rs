use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use lr_protocol::{Linger, Problem, Registered};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::args::AgentArgs;
use crate::client::Endpoint;
use crate::ready::Ready;

/// An agent process to be started. The token for the server, if it wants one, is taken from
/// `LR_TOKEN`, which the process inherits.
#[derive(Clone, Debug)]
pub struct LaunchRequest {
    pub pid: u32,
    pub name: String,
    pub tags: BTreeMap<String, String>,
    pub server: Endpoint,
    pub linger: Linger,
    /// Where its messages go; nowhere if there is none.
    pub log: Option<PathBuf>,
    /// Its standard output, for actions that ask for it; it leads nowhere if there is none.
    pub output: Option<Arc<OwnedFd>>,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum LaunchFailure {
    /// The agent looked, and says why not.
    #[error("{}", .0.title)]
    Problem(Box<Problem>),
    #[error("cannot start the agent process: {0}")]
    Spawn(#[source] io::Error),
    #[error("cannot write the agent's log {}: {source}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("the agent process ended before it was ready")]
    Died,
    #[error("the agent process was not ready within {} s", .0.as_secs())]
    Slow(Duration),
}

impl LaunchFailure {
    pub fn code(&self) -> &str {
        match self {
            LaunchFailure::Problem(problem) => &problem.code,
            LaunchFailure::Log { .. } => "state_dir",
            LaunchFailure::Spawn(_) | LaunchFailure::Died | LaunchFailure::Slow(_) => "agent_died",
        }
    }
}

/// Reading debug info of hundreds of megabytes from a cold disk takes seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The ready line's; a problem with all its suggestions is far below.
const LINE_LIMIT: u64 = 1 << 20;

/// Starts an agent process in a session of its own, so that a terminal's signals do not reach it,
/// and returns when it is registered. It stays when the caller ends.
pub async fn launch(request: &LaunchRequest) -> Result<Registered, LaunchFailure> {
    let args = AgentArgs {
        pid: request.pid,
        name: request.name.clone(),
        tags: request.tags.clone(),
        server: request.server.clone(),
        linger: request.linger.clone(),
        has_output: request.output.is_some(),
    };
    // Standard output says first whether there is an agent. So the other comes in by the one
    // descriptor that an agent has no use for.
    let stdin = match &request.output {
        Some(output) => Stdio::from(output.try_clone().map_err(LaunchFailure::Spawn)?),
        None => Stdio::null(),
    };
    let log = match &request.log {
        Some(path) => Stdio::from(open_log(path)?),
        None => Stdio::null(),
    };
    let mut child = Command::new(own_executable())
        .args(args.write())
        .current_dir("/")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(false)
        .spawn()
        .map_err(LaunchFailure::Spawn)?;
    let ready = child.stdout.take().expect("its output is a pipe");
    let mut line = String::new();
    let mut ready = BufReader::new(ready.take(LINE_LIMIT));
    match timeout(READY_WITHIN, ready.read_line(&mut line)).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => return Err(LaunchFailure::Died),
        Err(_) => {
            // It can hold nothing yet: sites come with actions, and those after registration.
            let _ = child.start_kill();
            return Err(LaunchFailure::Slow(READY_WITHIN));
        }
    }
    match Ready::from_line(&line) {
        Some(Ready::Registered(registered)) => Ok(registered),
        Some(Ready::Problem(problem)) => Err(LaunchFailure::Problem(Box::new(problem))),
        None => Err(LaunchFailure::Died),
    }
}

/// The executable of this process, also if its file was replaced meanwhile.
pub(crate) fn own_executable() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        _ => PathBuf::from("/proc/self/exe"),
    }
}

/// Under `sudo` we are root in a folder of the user's, who may have put a link there.
fn open_log(path: &Path) -> Result<File, LaunchFailure> {
    let open = || {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Err(io::Error::other("it is not a file of its own"));
        }
        Ok(file)
    };
    open().map_err(|source| LaunchFailure::Log {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_never_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let symbolic = folder.path().join("symbolic");
        std::os::unix::fs::symlink(&victim, &symbolic).unwrap();
        let hard = folder.path().join("hard");
        std::fs::hard_link(&victim, &hard).unwrap();
        for path in [&symbolic, &hard] {
            assert_eq!(open_log(path).unwrap_err().code(), "state_dir");
        }
        open_log(&folder.path().join("agent.log")).unwrap();
    }
}
