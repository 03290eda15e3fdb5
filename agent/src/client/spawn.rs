//! Starting a local server.
//!
//! It is started through a process in between, which leaves the terminal's session and, under
//! `sudo`, becomes the invoking user before it touches a file. Between `fork` and `exec` none of
//! this could be done without `unsafe`, and root writing in a user's folders could be led astray.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lr_protocol::Problem;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout_at};

use super::local::LocalError;
use super::{Invoker, StateDir};

/// The hidden verb of `lr` that the process in between is.
pub const SERVER_PROCESS: &str = "server-process";

/// What the server says where another one holds the lock.
const ALREADY_RUNNING: &str = "already_running";

/// The ready line is a hundred bytes; a problem is not much more.
const LINE_LIMIT: u64 = 1 << 20;

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spawned {
    Ready,
    /// Another server holds the lock, and answers soon if not yet.
    AnotherRuns,
}

pub(super) async fn spawn(
    invoker: &Invoker,
    state_dir: &StateDir,
    deadline: Instant,
) -> Result<Spawned, LocalError> {
    let lr = own_executable();
    let server = find_server(&lr)?;
    let mut command = Command::new(&lr);
    command
        .arg(SERVER_PROCESS)
        .args([server.as_os_str(), state_dir.path().as_os_str()])
        .args([&invoker.uid, &invoker.gid].map(u32::to_string))
        .arg(&invoker.name)
        .arg(&invoker.home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(LocalError::Spawn)?;
    let stdout = child.stdout.take().expect("its output is a pipe");
    let ready = pipe::Receiver::from_owned_fd(stdout.into()).map_err(LocalError::Spawn)?;
    let mut line = String::new();
    let mut ready = BufReader::new(ready.take(LINE_LIMIT));
    let read = timeout_at(deadline, ready.read_line(&mut line)).await;
    // The server outlives us. Where it ended already, this collects it.
    let _ = child.try_wait();
    let log = state_dir.server_log();
    match read {
        Err(_) => Err(LocalError::Slow { log }),
        Ok(Err(error)) => Err(LocalError::Spawn(error)),
        Ok(Ok(_)) => decode(&line, state_dir),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ReadyLine {
    Problem(Problem),
    Ready {
        #[serde(rename = "socket")]
        _socket: PathBuf,
    },
}

fn decode(line: &str, state_dir: &StateDir) -> Result<Spawned, LocalError> {
    match serde_json::from_str(line) {
        Ok(ReadyLine::Ready { .. }) => Ok(Spawned::Ready),
        Ok(ReadyLine::Problem(problem)) if problem.code == ALREADY_RUNNING => {
            Ok(Spawned::AnotherRuns)
        }
        Ok(ReadyLine::Problem(problem)) => Err(LocalError::Refused(Box::new(problem))),
        Err(_) => Err(LocalError::Died {
            log: state_dir.server_log(),
            last: state_dir.last_of_server_log(),
        }),
    }
}

fn own_executable() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        // It was replaced while we run.
        _ => PathBuf::from("/proc/self/exe"),
    }
}

/// Beside `lr`, where packages put helpers, or on the path.
fn find_server(lr: &Path) -> Result<PathBuf, LocalError> {
    let beside = lr.parent().unwrap_or(Path::new("/"));
    let mut looked = vec![
        beside.join("lr-server"),
        beside.join("../libexec/lr-server"),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    looked.extend(
        std::env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join("lr-server")),
    );
    match looked.iter().find(|path| is_program(path)) {
        Some(server) => Ok(server.clone()),
        None => Err(LocalError::NotInstalled { looked }),
    }
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The process in between: `lr server-process SERVER STATE-DIR UID GID NAME HOME`. Returns only
/// where it failed, and has then told the one who waits.
pub fn server_process(args: impl IntoIterator<Item = OsString>) -> i32 {
    let Err(problem) = become_server(&args.into_iter().collect::<Vec<_>>());
    let line = serde_json::to_string(&problem).expect("its keys are strings");
    let _ = writeln!(io::stdout(), "{line}");
    1
}

fn become_server(args: &[OsString]) -> Result<Infallible, Problem> {
    let [server, state_dir, uid, gid, name, home] = args else {
        return Err(failed("usage", "this verb is for lr itself"));
    };
    let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u32>().ok());
    let (Some(uid), Some(gid)) = (number(uid), number(gid)) else {
        return Err(failed("usage", "this verb is for lr itself"));
    };
    // It fails only for the leader of a process group, which has a session of its own already or
    // was started by hand.
    let _ = nix::unistd::setsid();
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    become_user(uid, gid, name).map_err(|errno| {
        failed(
            "permission_denied",
            format!("cannot become user {uid}: {errno}"),
        )
    })?;
    let state_dir = StateDir::at(state_dir.into(), uid);
    let log = state_dir
        .make()
        .and_then(|()| state_dir.open_server_log())
        .map_err(|error| Problem {
            suggestions: vec![error.suggestion()],
            ..failed(error.code(), error.to_string())
        })?;
    let error = exec(Path::new(server), &state_dir, &log, name, home);
    Err(failed(
        "server_not_installed",
        format!("cannot run {}: {error}", server.display()),
    ))
}

/// For good: groups first, while there is still the right to.
fn become_user(uid: u32, gid: u32, name: &OsString) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    if uid == Uid::effective() && uid == Uid::current() {
        return Ok(());
    }
    // The server opens the ready pipe again by its number under /proc, which asks whose it is.
    nix::unistd::fchown(io::stdout(), Some(uid), Some(gid))?;
    let name = CString::new(name.as_encoded_bytes()).map_err(|_| nix::errno::Errno::EINVAL)?;
    nix::unistd::initgroups(&name, gid)?;
    nix::unistd::setgid(gid)?;
    nix::unistd::setuid(uid)
}

/// Returns only if it fails.
fn exec(
    server: &Path,
    state_dir: &StateDir,
    log: &File,
    name: &OsString,
    home: &OsString,
) -> io::Error {
    let run = || -> io::Result<Infallible> {
        // The copy stays open across exec, unlike what the standard library opens.
        let ready = nix::unistd::dup(io::stdout())?;
        Err(Command::new(server)
            .args(["serve", "--state-dir"])
            .arg(state_dir.path())
            .args(["--ready-fd", &ready.as_raw_fd().to_string()])
            .current_dir("/")
            .env("HOME", home)
            .env("USER", name)
            .env("LOGNAME", name)
            .env_remove("LR_TOKEN")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .exec())
    };
    let Err(error) = run();
    error
}

fn failed(code: &str, title: impl Into<String>) -> Problem {
    Problem {
        code: code.into(),
        title: title.into(),
        status: 503,
        detail: String::new(),
        suggestions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Spawned, &str>) {
        let state_dir = StateDir::at(PathBuf::from("/nonexistent"), 0);
        let result = decode(line, &state_dir);
        assert_eq!(
            result.as_ref().map_err(LocalError::code),
            expected.as_ref().map_err(|c| *c)
        );
    }

    #[test]
    fn the_first_line_says_what_became_of_it() {
        check(
            r#"{"socket":"/s","portal":"http://127.0.0.1:1","pid":7}"#,
            Ok(Spawned::Ready),
        );
        check(
            r#"{"code":"already_running","title":"t","status":409}"#,
            Ok(Spawned::AnotherRuns),
        );
        check(
            r#"{"code":"state_dir","title":"t","status":500}"#,
            Err("state_dir"),
        );
        check("", Err("server_unreachable"));
        check("thread 'main' panicked", Err("server_unreachable"));
    }

    #[test]
    fn a_server_that_is_nowhere_is_said_to_be_missing() {
        let temp = tempfile::tempdir().unwrap();
        let lr = temp.path().join("lr");
        std::fs::write(temp.path().join("lr-server"), "no program").unwrap();
        match find_server(&lr) {
            Err(error) => {
                assert_eq!(error.code(), "server_not_installed");
                assert!(
                    error
                        .to_problem()
                        .detail
                        .contains(temp.path().to_str().unwrap())
                );
            }
            // There is one on the path of this machine; it is not the one without mode bits.
            Ok(found) => assert_ne!(found, temp.path().join("lr-server")),
        }
    }

    #[test]
    fn the_one_beside_is_taken_first() {
        let temp = tempfile::tempdir().unwrap();
        let server = temp.path().join("lr-server");
        std::fs::write(&server, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&server, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_server(&temp.path().join("lr")).unwrap(), server);
    }
}
