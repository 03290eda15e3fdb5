use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// The user whose local server it is: under `sudo` the one who typed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invoker {
    pub uid: u32,
    pub gid: u32,
    pub name: String,
    pub home: PathBuf,
    /// Whether this process is root in that user's place.
    pub through_sudo: bool,
}

/// Where a user's local server has its socket, its lock, its data and its log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateDir {
    path: PathBuf,
    owner: u32,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    #[error("user {0} has no home directory to keep state in")]
    NoHome(u32),
    #[error("cannot use the state directory {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the state directory {} belongs to user {found}, not to user {expected}", path.display())]
    Owner {
        path: PathBuf,
        found: u32,
        expected: u32,
    },
    #[error("the state directory {} is open to other users (mode {mode:04o}, expected 0700)", path.display())]
    Mode { path: PathBuf, mode: u32 },
    #[error("the state directory {} is no directory", path.display())]
    NoDirectory { path: PathBuf },
    #[error("the path of the state directory {} is too long for a socket in it", path.display())]
    TooLong { path: PathBuf },
}

impl StateDirError {
    pub fn code(&self) -> &'static str {
        "state_dir"
    }

    /// What to do about it.
    pub fn suggestion(&self) -> String {
        match self {
            StateDirError::Mode { path, .. } => format!("chmod 700 {}", path.display()),
            _ => "name a directory of your own in LR_STATE_DIR".into(),
        }
    }
}

/// `sun_path` of unix(7) less its closing zero.
const SOCKET_PATH_LIMIT: usize = 107;

/// Of a log's line, what is shown.
const LINE_LIMIT: u64 = 2048;

impl Invoker {
    pub fn of_this_process() -> Result<Invoker, StateDirError> {
        Invoker::find(Uid::effective(), |name| std::env::var_os(name))
    }

    /// `SUDO_UID` is believed from root only, who may be whom he likes anyway.
    fn find(
        effective: Uid,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Invoker, StateDirError> {
        let sudo_uid = variable("SUDO_UID").and_then(|uid| uid.to_str()?.parse::<u32>().ok());
        let through_sudo = effective.is_root() && sudo_uid.is_some_and(|uid| uid != 0);
        let uid = match sudo_uid {
            Some(uid) if through_sudo => Uid::from_raw(uid),
            _ => effective,
        };
        let user = User::from_uid(uid).ok().flatten();
        // Under sudo HOME may still be the user's or be root's already.
        let home = variable("HOME")
            .filter(|home| !through_sudo && Path::new(home).is_absolute())
            .map(PathBuf::from)
            .or_else(|| user.as_ref().map(|user| user.dir.clone()))
            .ok_or(StateDirError::NoHome(uid.as_raw()))?;
        Ok(Invoker {
            uid: uid.as_raw(),
            gid: user
                .as_ref()
                .map_or_else(nix::unistd::getegid, |user| user.gid)
                .as_raw(),
            name: user.map_or_else(|| uid.to_string(), |user| user.name),
            home,
            through_sudo,
        })
    }
}

impl StateDir {
    /// `$LR_STATE_DIR`, else `$XDG_STATE_HOME/lr`, else `~/.local/state/lr`. Nothing is touched.
    pub fn of(invoker: &Invoker) -> StateDir {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = StateDir::place(
            invoker,
            variable("LR_STATE_DIR"),
            variable("XDG_STATE_HOME"),
        );
        StateDir {
            path,
            owner: invoker.uid,
        }
    }

    pub(super) fn at(path: PathBuf, owner: u32) -> StateDir {
        StateDir { path, owner }
    }

    fn place(invoker: &Invoker, own: Option<OsString>, xdg: Option<OsString>) -> PathBuf {
        if let Some(own) = own {
            return std::path::absolute(&own).unwrap_or_else(|_| own.into());
        }
        // The XDG base directory specification has relative paths ignored.
        match xdg.map(PathBuf::from).filter(|xdg| xdg.is_absolute()) {
            Some(xdg) => xdg.join("lr"),
            None => invoker.home.join(".local/state/lr"),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn socket(&self) -> PathBuf {
        self.path.join("server.sock")
    }

    pub fn server_log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    pub fn agent_log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    pub fn sql_history(&self) -> PathBuf {
        self.path.join("sql_history")
    }

    /// Whether it is there; an error if what is there must not be trusted.
    pub fn check(&self) -> Result<Presence, StateDirError> {
        let path = self.path.clone();
        if self.socket().as_os_str().len() > SOCKET_PATH_LIMIT {
            return Err(StateDirError::TooLong { path });
        }
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Absent),
            Err(source) => return Err(StateDirError::Io { path, source }),
        };
        if !metadata.is_dir() {
            return Err(StateDirError::NoDirectory { path });
        }
        if metadata.uid() != self.owner {
            return Err(StateDirError::Owner {
                path,
                found: metadata.uid(),
                expected: self.owner,
            });
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(StateDirError::Mode { path, mode });
        }
        Ok(Presence::Present)
    }

    /// Makes it, as the user whom this process is: root would make it root's, and would follow
    /// links that the user has put in its way.
    pub(super) fn make(&self) -> Result<(), StateDirError> {
        if self.check()? == Presence::Present {
            return Ok(());
        }
        let io = |source| StateDirError::Io {
            path: self.path.clone(),
            source,
        };
        if let Some(parent) = self.path.parent() {
            std::fs::create_dir_all(parent).map_err(io)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io(error)),
            _ => self.check().map(|_| ()),
        }
    }

    /// The last line of the server's log; empty if it cannot be read.
    pub(super) fn last_of_server_log(&self) -> String {
        let read = || -> io::Result<String> {
            // Root in a user's place reads no file that the user has only linked to.
            let mut file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(self.server_log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LINE_LIMIT)))?;
            let mut end = Vec::new();
            file.take(LINE_LIMIT).read_to_end(&mut end)?;
            let end = String::from_utf8_lossy(&end);
            Ok(end
                .trim_end()
                .lines()
                .next_back()
                .unwrap_or_default()
                .into())
        };
        read().unwrap_or_default()
    }

    pub(super) fn open_server_log(&self) -> Result<File, StateDirError> {
        let path = self.server_log();
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(|source| StateDirError::Io { path, source })
    }
}

/// Whether the state directory has been made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    Absent,
    Present,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn invoker(effective: u32, variables: &[(&str, &str)]) -> Invoker {
        Invoker::find(Uid::from_raw(effective), |name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(value.into())
        })
        .unwrap()
    }

    #[test]
    fn under_sudo_it_is_the_user_who_typed_it() {
        // User 1 is `daemon` wherever there is a passwd file.
        let user = invoker(0, &[("SUDO_UID", "1"), ("HOME", "/root")]);
        assert!(user.through_sudo);
        assert_eq!((user.uid, user.name.as_str()), (1, "daemon"));
        assert_ne!(user.home, Path::new("/root"));
    }

    #[test]
    fn sudo_uid_is_nothing_to_one_who_is_not_root() {
        let user = invoker(1, &[("SUDO_UID", "0"), ("HOME", "/home/x")]);
        assert_eq!((user.uid, user.through_sudo), (1, false));
        assert_eq!(user.home, Path::new("/home/x"));
    }

    #[test]
    fn root_through_sudo_is_root() {
        let user = invoker(0, &[("SUDO_UID", "0"), ("HOME", "/h")]);
        assert_eq!((user.uid, user.through_sudo), (0, false));
    }

    fn check_place(own: Option<&str>, xdg: Option<&str>, expected: &str) {
        let invoker = invoker(0, &[("HOME", "/h")]);
        let place = StateDir::place(&invoker, own.map(Into::into), xdg.map(Into::into));
        assert_eq!(place, Path::new(expected));
    }

    #[test]
    fn the_first_variable_that_is_set_names_the_place() {
        check_place(Some("/own"), Some("/xdg"), "/own");
        check_place(None, Some("/xdg"), "/xdg/lr");
        check_place(None, Some("relative"), "/h/.local/state/lr");
        check_place(None, None, "/h/.local/state/lr");
    }

    fn in_temp(name: &str) -> (tempfile::TempDir, StateDir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = StateDir::at(temp.path().join(name), Uid::effective().as_raw());
        (temp, dir)
    }

    #[test]
    fn it_is_made_for_its_owner_alone() {
        let (_temp, dir) = in_temp("a/b/lr");
        assert_eq!(dir.check().unwrap(), Presence::Absent);
        dir.make().unwrap();
        dir.make().unwrap();
        let mode = std::fs::metadata(dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }

    #[test]
    fn one_that_others_can_enter_is_refused() {
        let (_temp, dir) = in_temp("lr");
        dir.make().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(
            dir.check(),
            Err(StateDirError::Mode { mode: 0o755, .. })
        ));
    }

    #[test]
    fn one_of_somebody_else_is_refused() {
        let (_temp, dir) = in_temp("lr");
        dir.make().unwrap();
        let other = StateDir::at(dir.path().into(), dir.owner + 1);
        assert!(matches!(other.check(), Err(StateDirError::Owner { .. })));
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let (_temp, dir) = in_temp("lr");
        std::fs::write(dir.path(), "").unwrap();
        assert!(matches!(dir.make(), Err(StateDirError::NoDirectory { .. })));
        let below = StateDir::at(dir.path().join("lr"), dir.owner);
        assert!(matches!(below.make(), Err(StateDirError::Io { .. })));
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused() {
        let (_temp, dir) = in_temp(&"x".repeat(120));
        assert!(matches!(dir.make(), Err(StateDirError::TooLong { .. })));
    }

    #[test]
    fn the_last_line_of_a_log_is_what_it_ended_with() {
        let (_temp, dir) = in_temp("lr");
        assert_eq!(dir.last_of_server_log(), "");
        dir.make().unwrap();
        let log = format!("{}\nstarted\nfailed: so\n\n", "x".repeat(5000));
        std::fs::write(dir.server_log(), log).unwrap();
        assert_eq!(dir.last_of_server_log(), "failed: so");
    }

    #[test]
    fn a_log_is_not_written_through_a_link() {
        let (temp, dir) = in_temp("lr");
        dir.make().unwrap();
        std::os::unix::fs::symlink(temp.path().join("victim"), dir.server_log()).unwrap();
        assert!(dir.open_server_log().is_err());
    }
}
