use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// The descriptors that a tracer process is born with: socket, shared memory, wake-up counter,
/// journal, and what only it keeps open.
const SPAWN_FDS: [i32; 5] = [3, 4, 5, 6, 7];

/// Starts `program arguments…` in a session of its own with `fds` at [`SPAWN_FDS`] and nothing
/// else open.
pub(crate) fn spawn_tracer(
    program: &std::path::Path,
    arguments: &[&str],
    fds: [BorrowedFd<'_>; SPAWN_FDS.len()],
) -> io::Result<Child> {
    let fds = fds.map(|fd| fd.as_raw_fd());
    let mut command = Command::new(program);
    command.args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    // SAFETY: between fork and exec only async-signal-safe calls are made (signal-safety(7)):
    // setsid, fcntl, dup2, close_range.
    unsafe { command.pre_exec(move || place_descriptors(fds)) };
    command.spawn()
}

fn place_descriptors(fds: [i32; SPAWN_FDS.len()]) -> io::Result<()> {
    // SAFETY: plain system calls on numbers; see the caller.
    unsafe {
        libc::setsid();
        // First out of the way of the places that they are to take.
        let mut high = [0; SPAWN_FDS.len()];
        for (high, fd) in high.iter_mut().zip(fds) {
            *high = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 64);
            if *high < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        for (high, place) in high.into_iter().zip(SPAWN_FDS) {
            if libc::dup2(high, place) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // Not closed now: the standard library reports a failed exec through one of them.
        let first = libc::c_uint::try_from(SPAWN_FDS[SPAWN_FDS.len() - 1] + 1).unwrap_or(8);
        let cloexec = libc::c_int::try_from(libc::CLOSE_RANGE_CLOEXEC).unwrap_or(4);
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, cloexec);
    }
    Ok(())
}

/// Takes the descriptors that this process was born with. To be called once, first.
pub(crate) fn inherited() -> io::Result<[OwnedFd; SPAWN_FDS.len()]> {
    for fd in SPAWN_FDS {
        // SAFETY: asks about a number.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: the descriptors are open, and by the contract of this function nobody else has
    // taken them.
    Ok(SPAWN_FDS.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// An eventfd(2) that this process was born with.
pub(crate) fn event_fd(fd: OwnedFd) -> nix::sys::eventfd::EventFd {
    // SAFETY: `inherited` gives the third descriptor for exactly this, an eventfd of the agent's.
    unsafe { nix::sys::eventfd::EventFd::from_owned_fd(fd) }
}
