use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Address, Response, wait_for};

/// A server that runs until the end of its test.
pub(crate) struct Server {
    child: Child,
    /// What it wrote when it was ready.
    pub(crate) ready: Value,
    pub(crate) api: Address,
    pub(crate) portal: Address,
}

impl Server {
    /// Starts the local server of a state directory.
    pub(crate) fn start(state_dir: &Path) -> Server {
        Server::try_start(state_dir, &[]).expect("the server starts")
    }

    /// Starts a server, or returns the problem that it says and its exit status.
    pub(crate) fn try_start(
        state_dir: &Path,
        arguments: &[&str],
    ) -> Result<Server, (Value, ExitStatus)> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lr-server"))
            .args(["serve", "--ready-fd", "1", "--state-dir"])
            .arg(state_dir)
            .args(arguments)
            .env_remove("SUDO_UID")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
        let Some(portal) = ready["portal"].as_str() else {
            return Err((ready, child.wait().unwrap()));
        };
        Ok(Server {
            api: Address::Unix(state_dir.join("server.sock")),
            portal: Address::Tcp(portal.strip_prefix("http://").unwrap().to_owned()),
            ready,
            child,
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        wait_for("the server's end", || self.child.try_wait().unwrap())
    }

    pub(crate) fn register(&self, linger: &Value) -> Agent {
        self.register_as(linger, "orders", "42-1")
    }

    pub(crate) fn register_as(&self, linger: &Value, name: &str, process_id: &str) -> Agent {
        let registered = self
            .api
            .post("/api/v1/agents", &registration(linger, name, process_id))
            .ok();
        Agent {
            api: self.api.clone(),
            id: registered["agent_id"].as_str().unwrap().to_owned(),
            session: registered["session"].as_str().unwrap().to_owned(),
        }
    }

    /// The rows of a query.
    #[track_caller]
    pub(crate) fn rows(&self, sql: &str) -> Value {
        self.api.post("/api/v1/query", &json!({"sql": sql})).ok()["rows"].take()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent, as far as the server can tell.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) api: Address,
    pub(crate) id: String,
    pub(crate) session: String,
}

impl Agent {
    pub(crate) fn act(&self, more: &Value) -> String {
        let mut action = json!({
            "kind": "log", "location": "orders.rs:42", "template": "id={id}", "target": {"agent": self.id},
        });
        for (key, value) in more.as_object().unwrap() {
            action[key] = value.clone();
        }
        let action = self.api.post("/api/v1/actions", &action).ok();
        action["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn wanted(&self, revision: u64) -> Value {
        self.api
            .get(&format!(
                "/api/v1/agents/{}/wanted?revision={revision}",
                self.id
            ))
            .ok()
    }

    pub(crate) fn send(&self, sequence: u64, content: &Value) -> Response {
        let mut batch = json!({"session": self.session, "sequence": sequence, "sent_at": 0});
        for (key, value) in content.as_object().unwrap() {
            batch[key] = value.clone();
        }
        self.api
            .post(&format!("/api/v1/agents/{}/batches", self.id), &batch)
    }

    /// Reports a state of an action.
    pub(crate) fn report(&self, sequence: u64, action: &str, state: &str) -> Response {
        self.send(sequence, &json!({"statuses": [{
            "agent_id": self.id, "action_id": action, "action_version": 1, "state": state, "updated_at": 1,
        }]}))
    }
}

pub(crate) fn registration(linger: &Value, name: &str, process_id: &str) -> Value {
    json!({
        "protocol_version": 1, "agent_version": "0.1.0", "name": name, "host": "here",
        // This process, which lives as long as the test does.
        "agent_pid": std::process::id(), "agent_uid": 0, "linger": linger,
        "process": {
            "process_id": process_id, "pid": 42, "comm": name, "executable": "/orders",
            "build_id": "ab12", "uid": 0, "start_time": 1_767_323_045_000_000_i64,
        },
    })
}

/// `count` log events from number `first` on.
pub(crate) fn logs(action: &str, first: u64, count: u64) -> Value {
    (first..first + count)
        .map(|seq| {
            json!({
                "ts": 1_767_323_045_000_000 + seq, "seq": seq, "action_id": action, "action_version": 1,
                "tid": 43, "thread": "worker", "file": "src/orders.rs", "line": 42,
                "function": "orders::process", "level": "info", "message": format!("id={seq}"),
                "fields": [
                    {"name": "id", "type": "u64", "value": {"u": seq}},
                    {"name": "customer", "type": "&str", "value": {"s": "bob"}},
                ],
            })
        })
        .collect()
}

pub(crate) fn until_done() -> Value {
    json!("until_done")
}

/// A state directory that does not exist yet, in a folder that goes with the test.
pub(crate) fn state_dir() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lr");
    (folder, path)
}
