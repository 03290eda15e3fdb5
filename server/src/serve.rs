//! A server from its start to its end.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, User, geteuid};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::accept::{self, Listener};
use crate::app::App;
use crate::caller::Caller;
use crate::clock::now_us;
use crate::courtesy;
use crate::gate::Gate;
use crate::live::Hub;
use crate::log::{log, log_to};
use crate::portal::{Hashed, PortalAccess};
use crate::problem::{Answer, Refusal};
use crate::ready::Ready;
use crate::registry::SharedRegistry;
use crate::state_dir::{StateDir, user_name};
use crate::store::{Database, Queries, Writer, load_registry};

/// How often time is looked at: leases, expiry.
const TICK: Duration = Duration::from_millis(250);
/// Of how many ticks each looks for dead agents, and each stores when agents were last seen.
const BURY_EVERY: u64 = 4;
const RECORD_EVERY: u64 = 120;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) portal_port: u16,
}

/// Runs a server until it is told to stop.
pub(crate) async fn serve(options: Options, ready: Ready) -> Answer<()> {
    match start(options).await {
        Ok(server) => {
            ready.tell(&json!({
                "socket": server.socket,
                "listen": server.listen,
                "portal": server.app.portal_url,
                "pid": std::process::id(),
            }));
            server.run().await;
            Ok(())
        }
        Err(refusal) => {
            ready.tell(&serde_json::to_value(&*refusal.0).unwrap_or_default());
            Err(refusal)
        }
    }
}

struct Server {
    app: Arc<App>,
    writer: Writer,
    listeners: Vec<Listener>,
    socket: Option<PathBuf>,
    /// Where it listens instead, with the port that it got where 0 was asked for.
    listen: Option<SocketAddr>,
    /// Held until everything else has ended.
    _lock: nix::fcntl::Flock<fs::File>,
}

async fn start(options: Options) -> Answer<Server> {
    let token = options.token_file.as_deref().map(read_token).transpose()?;
    drop_privileges()?;
    let state_dir = StateDir::open(options.state_dir)?;
    let lock = state_dir.lock()?;
    log_to(state_dir.log()?);
    courtesy::give_way();

    let mut listeners = Vec::new();
    let mut socket = None;
    let mut listen = None;
    if let Some(address) = options.listen {
        let listener = bind(address).await?;
        listen = Some(address_of(&listener)?);
        listeners.push(Listener::Tcp(listener, Caller::Bearer));
    } else {
        let path = state_dir.socket();
        listeners.push(Listener::Unix(bind_socket(&path)?));
        socket = Some(path);
    }
    let portal = bind((IpAddr::from(Ipv4Addr::LOCALHOST), options.portal_port).into()).await?;
    let portal_address = address_of(&portal)?;
    listeners.push(Listener::Tcp(portal, Caller::Portal));

    let hub = Hub::default();
    let (registry, queries, writer) = open_store(&state_dir, &hub)?;
    let app = Arc::new(App {
        registry,
        writer: writer.handle(),
        queries,
        hub,
        gate: Gate {
            portal: PortalAccess::new(Instant::now()),
            portal_port: portal_address.port(),
            token,
        },
        owner: user_name(geteuid().as_raw()),
        state_dir: state_dir.path().display().to_string(),
        portal_url: format!("http://{portal_address}"),
        started_at: now_us(),
        stopping: watch::Sender::new(false),
    });
    Ok(Server {
        app,
        writer,
        listeners,
        socket,
        listen,
        _lock: lock,
    })
}

impl Server {
    async fn run(self) {
        log(&format!("started, version {}", env!("CARGO_PKG_VERSION")));
        tokio::spawn(stop_on_signals(self.app.clone()));
        let clock = tokio::spawn(keep_time(self.app.clone()));
        let mut serving = tokio::task::JoinSet::new();
        for listener in self.listeners {
            serving.spawn(accept::serve(self.app.clone(), listener));
        }
        self.app.stopping().await;
        log("stopping");
        // From now on nobody finds us; whoever wants a server waits for the lock.
        if let Some(socket) = &self.socket {
            let _ = fs::remove_file(socket);
        }
        while serving.join_next().await.is_some() {}
        clock.abort();
        self.app.queries.cut_all();
        let writer = self.writer;
        let _ = tokio::task::spawn_blocking(move || writer.stop()).await;
        log("stopped");
    }
}

fn open_store(state_dir: &StateDir, hub: &Hub) -> Answer<(SharedRegistry, Queries, Writer)> {
    let open = || -> anyhow::Result<_> {
        let database = Database::open(&state_dir.database())?;
        let connection = database.connect()?;
        let registry = SharedRegistry::new(load_registry(&connection)?);
        let queries = Queries::new(database);
        let writer = Writer::start(connection, registry.clone(), hub.clone(), queries.clone())?;
        Ok((registry, queries, writer))
    };
    open().map_err(|error| {
        Refusal::new("state_dir", "the database cannot be used").detail(format!("{error:#}"))
    })
}

/// Under `sudo` the server and its data are the invoking user's.
fn drop_privileges() -> Answer<()> {
    let uid = std::env::var("SUDO_UID")
        .ok()
        .and_then(|uid| uid.parse::<u32>().ok());
    let (true, Some(uid)) = (geteuid().is_root(), uid.filter(|uid| *uid != 0)) else {
        return Ok(());
    };
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let gid = user.map_or(Gid::from_raw(uid), |user| user.gid);
    let drop = || -> nix::Result<()> {
        nix::unistd::setgroups(&[gid])?;
        nix::unistd::setgid(gid)?;
        nix::unistd::setuid(Uid::from_raw(uid))
    };
    drop().map_err(|errno| {
        Refusal::new("permission_denied", "cannot become the invoking user")
            .detail(errno.to_string())
    })
}

/// Binds the socket, in place of one that a server left behind. Only under the lock.
fn bind_socket(path: &Path) -> Answer<UnixListener> {
    let failed = |error: std::io::Error| {
        Refusal::new("state_dir", "cannot make the socket")
            .detail(format!("{}: {error}", path.display()))
    };
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

async fn bind(address: SocketAddr) -> Answer<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                Refusal::new("port_taken", format!("port {} is taken", address.port()))
                    .detail(format!("somebody else listens on {address}"))
                    .suggest("choose another port; 0 takes a free one")
            }
            _ => Refusal::new("cannot_listen", format!("cannot listen on {address}"))
                .detail(error.to_string()),
        })
}

fn address_of(listener: &TcpListener) -> Answer<SocketAddr> {
    listener
        .local_addr()
        .map_err(|error| Refusal::internal("what listens has no address").detail(error.to_string()))
}

/// The bearer token in a file that nobody else may read.
fn read_token(path: &Path) -> Answer<Hashed> {
    let refuse = |why: String| {
        Refusal::new("token_file", "the token file cannot be used")
            .detail(format!("{}: {why}", path.display()))
    };
    let file = fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if file.mode() & 0o077 != 0 {
        return Err(refuse(format!(
            "others may read it (mode {:o})",
            file.mode() & 0o777
        ))
        .suggest(format!("chmod 600 {}", path.display())));
    }
    let token = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let token = token.trim();
    if token.len() < 16 {
        return Err(refuse("the token has less than 16 characters".to_owned())
            .suggest("openssl rand -hex 32"));
    }
    Ok(Hashed::of(token))
}

async fn stop_on_signals(app: Arc<App>) {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        log("cannot listen to signals");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    app.stop();
}

async fn keep_time(app: Arc<App>) {
    let mut ticks = tokio::time::interval(TICK);
    for number in 0_u64.. {
        ticks.tick().await;
        let effects = {
            let mut registry = app.registry.lock();
            let mut effects = registry.tick(Instant::now(), now_us());
            if number % BURY_EVERY == 0 {
                effects.append(registry.bury_dead_agents(now_us()));
            }
            if number % RECORD_EVERY == RECORD_EVERY - 1 {
                effects.append(registry.live_records());
            }
            effects
        };
        if let Err(refusal) = app.writer.commit(effects).await {
            log(&format!("cannot store: {refusal}"));
        }
    }
}
