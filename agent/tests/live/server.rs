use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use lr_agent::client::Endpoint;
use lr_agent::{LaunchFailure, LaunchRequest, launch};
use lr_fixtures::wait_until;
use lr_protocol::{
    ActionKind, ActionSpec, ActionStatus, Batch, BatchAccepted, End, Level, Linger, LogEvent,
    LogSpec, Output, PROTOCOL_VERSION, RegisterAgent, Registered, ServerInfo, State, WantedAction,
    WantedActions,
};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::nonsense::Nonsense;

/// A server on a socket of its own that keeps what it is sent in memory.
pub(crate) struct Server {
    runtime: Runtime,
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    /// What is answered instead, and how often it was.
    nonsense: watch::Sender<Option<Nonsense>>,
    asked_in_vain: AtomicUsize,
    wanted: watch::Sender<WantedActions>,
    kept: Mutex<Kept>,
    registered: Registered,
}

#[derive(Default)]
struct Kept {
    agents: Vec<RegisterAgent>,
    batches: BTreeMap<u64, Batch>,
}

/// An agent that was launched; ended with this, should a test fail before.
pub(crate) struct Launched {
    pub(crate) pid: u32,
}

impl Drop for Launched {
    fn drop(&mut self) {
        if lr_agent::host::ProcessFacts::read(self.pid).is_ok_and(|facts| !facts.zombie) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(self.pid.cast_signed()),
                nix::sys::signal::Signal::SIGTERM,
            );
        }
    }
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_with(60)
    }

    pub(crate) fn start_with(disarm_after_s: u64) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (wanted, _) = watch::channel(WantedActions::default());
        let shared = Arc::new(Shared {
            nonsense: watch::channel(None).0,
            asked_in_vain: AtomicUsize::new(0),
            wanted,
            kept: Mutex::default(),
            registered: Registered {
                agent_id: "agentaaa".to_owned(),
                session: "session2".to_owned(),
                protocol_version: PROTOCOL_VERSION,
                disarm_after_s,
            },
        });
        let listener = {
            let _entered = runtime.enter();
            UnixListener::bind(folder.path().join("sock")).unwrap()
        };
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Server {
            runtime,
            folder,
            shared,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("agent.log")
    }

    pub(crate) fn launch(&self, pid: u32) -> Result<Launched, LaunchFailure> {
        self.launch_any(pid, None)
    }

    pub(crate) fn launch_with_output(
        &self,
        pid: u32,
        output: OwnedFd,
    ) -> Result<Launched, LaunchFailure> {
        self.launch_any(pid, Some(Arc::new(output)))
    }

    fn launch_any(
        &self,
        pid: u32,
        output: Option<Arc<OwnedFd>>,
    ) -> Result<Launched, LaunchFailure> {
        let request = LaunchRequest {
            pid,
            name: "orders".to_owned(),
            tags: BTreeMap::from([("env".to_owned(), "test".to_owned())]),
            server: Endpoint::Unix(self.socket()),
            linger: Linger::UntilDone,
            log: Some(self.log()),
            output,
        };
        let registered = self.runtime.block_on(launch(&request))?;
        assert_eq!(registered, self.shared.registered);
        let pid = self.agent().agent_pid;
        Ok(Launched { pid })
    }

    pub(crate) fn agent(&self) -> RegisterAgent {
        self.kept()
            .agents
            .last()
            .expect("one has registered")
            .clone()
    }

    pub(crate) fn want(&self, actions: Vec<WantedAction>) {
        self.shared.wanted.send_modify(|wanted| {
            wanted.revision += 1;
            wanted.actions = actions;
        });
    }

    /// Answers everybody so from now on.
    pub(crate) fn answer(&self, nonsense: Option<Nonsense>) {
        self.shared.nonsense.send_replace(nonsense);
    }

    pub(crate) fn asked_in_vain(&self) -> usize {
        self.shared.asked_in_vain.load(Ordering::Relaxed)
    }

    pub(crate) fn detach(&self) {
        self.shared.wanted.send_modify(|wanted| {
            wanted.revision += 1;
            wanted.detach = true;
        });
    }

    /// Answers nobody any more.
    pub(crate) fn vanish(self) {
        self.runtime.shutdown_background();
    }

    pub(crate) fn logs(&self) -> Vec<LogEvent> {
        let kept = self.kept();
        let batches = kept.batches.values();
        batches.flat_map(|batch| batch.logs.clone()).collect()
    }

    pub(crate) fn wait_for_logs(&self, count: usize) -> Vec<LogEvent> {
        wait_until("events", || {
            let logs = self.logs();
            (logs.len() >= count).then_some(logs)
        })
    }

    /// The newest status of an action.
    pub(crate) fn status(&self, action_id: &str) -> Option<ActionStatus> {
        let kept = self.kept();
        let statuses = kept.batches.values().rev();
        let mut statuses = statuses.flat_map(|batch| batch.statuses.iter().rev());
        statuses
            .find(|status| status.action_id == action_id)
            .cloned()
    }

    pub(crate) fn wait_for_state(&self, action_id: &str, state: State) -> ActionStatus {
        wait_until(state.word(), || {
            let status = self.status(action_id)?;
            let is_unexpected = status.state != state && status.state.is_final();
            assert!(!is_unexpected, "{status:?}");
            (status.state == state).then_some(status)
        })
    }

    pub(crate) fn wait_for_end(&self) -> End {
        wait_until("the end", || {
            let kept = self.kept();
            kept.batches.values().find_map(|batch| batch.end.clone())
        })
    }

    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.kept().batches.values().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap()
    }
}

/// A log, without limits that a test does not ask for.
pub(crate) fn log(action_id: &str, location: &str, template: &str) -> WantedAction {
    WantedAction {
        action_id: action_id.to_owned(),
        version: 1,
        spec: ActionSpec {
            kind: ActionKind::Log(LogSpec {
                location: location.to_owned(),
                template: template.to_owned(),
                level: Level::Warn,
            }),
            condition: None,
            name: None,
            tags: BTreeMap::new(),
            max_hits: None,
            expires_in_s: None,
            rate: Some(100_000.0),
            ignore_quota: true,
            output: Output::Server,
        },
        enabled: true,
        expires_in_ms: 600_000,
        hits_left: None,
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        let mut nonsense = shared.nonsense.subscribe();
        let answer_now = *nonsense.borrow_and_update();
        if let Some(answer) = answer_now {
            shared.asked_in_vain.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                tokio::select! {
                    () = answer.answer(stream) => {}
                    _ = nonsense.changed() => {}
                }
            });
            continue;
        }
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                _ = nonsense.changed() => {}
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let path = path.strip_prefix(lr_protocol::API_PREFIX).unwrap();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let answer = match parts.as_slice() {
        ["server"] => json(&info()),
        ["agents"] => {
            let agent = serde_json::from_slice(&body).unwrap();
            shared.kept.lock().unwrap().agents.push(agent);
            json(&shared.registered)
        }
        ["agents", _, "wanted"] => {
            let revision: u64 = query.strip_prefix("revision=").unwrap().parse().unwrap();
            json(&wanted(&shared, revision).await)
        }
        ["agents", id, "batches"] => {
            let batch: Batch = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (*id, &batch.session),
                ("agentaaa", &shared.registered.session)
            );
            let sequence = batch.sequence;
            let mut kept = shared.kept.lock().unwrap();
            let expected = kept.batches.len() as u64 + 1;
            assert!(sequence <= expected, "{sequence} after {expected}");
            let duplicate = kept.batches.insert(sequence, batch).is_some();
            json(&BatchAccepted {
                sequence,
                duplicate,
            })
        }
        _ => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
            response
        }
    };
    Ok(answer)
}

async fn wanted(shared: &Shared, revision: u64) -> WantedActions {
    let mut wanted = shared.wanted.subscribe();
    let changed = wanted.wait_for(|wanted| wanted.revision != revision);
    let _ = tokio::time::timeout(Duration::from_millis(500), changed).await;
    shared.wanted.borrow().clone()
}

fn info() -> ServerInfo {
    ServerInfo {
        version: "0".to_owned(),
        protocol_version: PROTOCOL_VERSION,
        pid: std::process::id(),
        started_at: 0,
        state_dir: String::new(),
        portal: String::new(),
        agents: 0,
        leases: 0,
    }
}

fn json<T: serde::Serialize>(value: &T) -> Response<Full<Bytes>> {
    Response::new(Full::from(serde_json::to_vec(value).unwrap()))
}
