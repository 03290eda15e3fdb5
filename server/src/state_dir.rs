use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Uid, User, geteuid};

use crate::problem::{Answer, Refusal};

/// How long a server waits for one that is about to end.
const HANDOVER: Duration = Duration::from_secs(15);

/// The folder of a server: its socket, lock, database and log.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Opens the folder, making it if there is none; it must be this user's and nobody else's.
    pub(crate) fn open(path: Option<PathBuf>) -> Answer<StateDir> {
        let path = match path {
            Some(path) => path,
            None => default_path()?,
        };
        let path = std::path::absolute(&path).map_err(|error| refuse(&path, &error.to_string()))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| refuse(&path, &format!("cannot make it: {error}")))?;
        let folder = fs::metadata(&path).map_err(|error| refuse(&path, &error.to_string()))?;
        if folder.uid() != geteuid().as_raw() {
            return Err(refuse(
                &path,
                &format!("it belongs to uid {}", folder.uid()),
            ));
        }
        if folder.mode() & 0o777 != 0o700 {
            // It was made by somebody with another mask, or opened up: close it before use.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .map_err(|error| refuse(&path, &format!("cannot make it private: {error}")))?;
        }
        Ok(StateDir { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("server.sock")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("lr.duckdb")
    }

    /// The log, for appending.
    pub(crate) fn log(&self) -> Answer<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.path.join("server.log"))
            .map_err(|error| refuse(&self.path, &format!("cannot write server.log: {error}")))
    }

    /// Takes the lock that a running server holds.
    pub(crate) fn lock(&self) -> Answer<Flock<File>> {
        let path = self.path.join("server.lock");
        let started = Instant::now();
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(|error| {
                    refuse(&self.path, &format!("cannot write server.lock: {error}"))
                })?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((_, errno)) if errno != nix::errno::Errno::EWOULDBLOCK => {
                    return Err(refuse(
                        &self.path,
                        &format!("cannot lock server.lock: {errno}"),
                    ));
                }
                Err(_) => {}
            }
            // A server that takes no connection any more is about to end.
            if UnixStream::connect(self.socket()).is_ok() || started.elapsed() > HANDOVER {
                return Err(
                    Refusal::new("already_running", "a server already runs here")
                        .detail(self.path.display().to_string())
                        .suggest("lr server status"),
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// `$LR_STATE_DIR`, else `$XDG_STATE_HOME/lr`, else `~/.local/state/lr` of this user.
fn default_path() -> Answer<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(path) = variable("LR_STATE_DIR") {
        return Ok(path);
    }
    if let Some(path) = variable("XDG_STATE_HOME") {
        return Ok(path.join("lr"));
    }
    let home = User::from_uid(geteuid())
        .ok()
        .flatten()
        .map(|user| user.dir);
    variable("HOME")
        .or(home)
        .map(|home| home.join(".local/state/lr"))
        .ok_or_else(|| Refusal::new("state_dir", "no state directory").suggest("set LR_STATE_DIR"))
}

/// The name of a user, or the number of one without a name.
pub(crate) fn user_name(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid))
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name)
}

fn refuse(path: &Path, why: &str) -> Refusal {
    Refusal::new("state_dir", "the state directory cannot be used")
        .detail(format!("{}: {why}", path.display()))
        .suggest("set LR_STATE_DIR to a folder of your own")
}
