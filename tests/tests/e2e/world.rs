use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lr_fixtures::{PATIENCE, Target, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::binaries;
use crate::running::{Ended, Running};

/// A state directory of its own, and so a local server of its own, which ends with it.
#[derive(Debug)]
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> World {
        // The server makes the directory itself, with the mode that it wants.
        World {
            folder: tempfile::tempdir().expect("the temporary folder is writable"),
        }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A folder that goes away with this, for what a test writes.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An `lr` command in this world, not started yet.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(binaries::lr());
        self.settle(&mut command);
        command
    }

    /// Gives a command this world's environment.
    pub(crate) fn settle(&self, command: &mut Command) {
        command
            .env("LR_STATE_DIR", self.state_dir())
            .env("XDG_CACHE_HOME", self.folder().join("cache"))
            .env("NO_COLOR", "1")
            .env_remove("LR_SERVER")
            .env_remove("LR_TOKEN")
            .env_remove("SUDO_UID")
            .env_remove("SUDO_GID")
            .env_remove("SUDO_USER");
    }

    pub(crate) fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        let mut command = self.command();
        command.args(arguments);
        Running::start(command)
    }

    /// Runs `lr` to its end.
    pub(crate) fn lr<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        self.start(arguments).ended()
    }

    /// Starts `lr attach --json` on a target with one log and more arguments.
    pub(crate) fn attach(
        &self,
        target: &Target,
        location: &str,
        template: &str,
        more: &[&str],
    ) -> Running {
        let pid = target.pid().to_string();
        let mut arguments = vec!["attach", &pid, "--json", "--log", location, template];
        arguments.extend(more);
        self.start(arguments)
    }

    /// The rows of a query, as the array that `--format json` prints.
    #[track_caller]
    pub(crate) fn sql(&self, query: &str) -> Vec<Value> {
        let printed = self.lr(["sql", "--format", "json", query]).done();
        match serde_json::from_str(&printed) {
            Ok(Value::Array(rows)) => rows,
            other => panic!("{query}: {other:?} from {printed}"),
        }
    }

    /// The one number that a query yields.
    #[track_caller]
    pub(crate) fn sql_number(&self, query: &str) -> i64 {
        let rows = self.sql(query);
        let value = rows
            .first()
            .and_then(Value::as_object)
            .and_then(|row| row.values().next())
            .unwrap_or_else(|| panic!("{query}: {rows:?}"));
        value
            .as_i64()
            .or_else(|| value.as_str()?.parse().ok())
            .unwrap_or_else(|| panic!("{query}: {value}"))
    }

    /// What the server answers to a `GET`, straight from its socket.
    pub(crate) fn get(&self, path: &str) -> Value {
        // Its socket is there a moment before it listens.
        let socket = self.state_dir().join("server.sock");
        let mut stream = wait_until("the server to listen", || UnixStream::connect(&socket).ok());
        write!(
            stream,
            "GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("it answers HTTP");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error} in {body}"))
    }

    /// The agent on a target.
    pub(crate) fn agent_of(&self, target: &Target) -> Value {
        let agents = self.get("/agents");
        let agents = agents.as_array().expect("a list");
        agents
            .iter()
            .find(|agent| agent["process"]["pid"] == target.pid())
            .unwrap_or_else(|| panic!("no agent on {}: {agents:?}", target.pid()))
            .clone()
    }

    /// Waits until nothing of `lr` is on any process any more, as the server sees it.
    pub(crate) fn until_no_agents(&self) {
        wait_until("the agents to end", || {
            self.get("/agents")
                .as_array()
                .is_some_and(Vec::is_empty)
                .then_some(())
        });
    }

    pub(crate) fn server_pid(&self) -> Option<u32> {
        server_of(&self.state_dir())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that failed may leave an agent, which would otherwise wait for its server.
        for agent in processes_with(b"agent-process", &self.state_dir()) {
            end(agent);
        }
        let Some(server) = self.server_pid() else {
            return;
        };
        let is_ours = std::fs::metadata(self.state_dir())
            .is_ok_and(|metadata| metadata.uid() == nix::unistd::geteuid().as_raw());
        if !is_ours {
            // Another user's server does not stop because we ask it.
            return end(server);
        }
        let mut stop = self.command();
        stop.args(["server", "stop"]);
        let stopped = stop.output().is_ok_and(|output| output.status.success());
        if !stopped || !ends_soon(server) {
            end(server);
            if !std::thread::panicking() {
                panic!("`lr server stop` did not end the server");
            }
        }
    }
}

/// Ends a process that this world started, by SIGTERM and if need be by SIGKILL.
fn end(pid: u32) {
    let raw = Pid::from_raw(pid.try_into().expect("pids are small"));
    // It may have ended by itself.
    let _ = kill(raw, Signal::SIGTERM);
    if !ends_soon(pid) {
        let _ = kill(raw, Signal::SIGKILL);
    }
}

fn ends_soon(pid: u32) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // One that nobody has collected, as in a container without an init, has no words either.
        let words = std::fs::read(format!("/proc/{pid}/cmdline"));
        if words.map_or(true, |words| words.is_empty()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// The process that was started as the server of a state directory.
fn server_of(state_dir: &Path) -> Option<u32> {
    processes_with(b"serve", state_dir).pop()
}

/// Processes whose first argument is this word and of which another has this folder.
fn processes_with(word: &[u8], folder: &Path) -> Vec<u32> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let mut arguments = line.split(|&byte| byte == 0);
        let has_word = arguments.nth(1) == Some(word);
        if has_word && arguments.any(|argument| contains(argument, folder)) {
            found.push(pid);
        }
    }
    found
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
