//! waitid(2) for tracees. A stop is looked at and not collected; only the dead are.

use std::io;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitTarget {
    Any,
    Thread(i32),
}

/// What a tracee did, as far as waitid tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitEvent {
    /// `status` holds the signal in its low byte and the ptrace event above it.
    Stopped {
        tid: i32,
        status: i32,
    },
    Exited {
        tid: i32,
        status: i32,
    },
    Killed {
        tid: i32,
        signal: i32,
    },
    /// Nothing has happened (only when not asked to block).
    Nothing,
    /// A signal of our own came first.
    Interrupted,
    /// There are no tracees.
    NoTracees,
}

/// Looks at the next stop or death of this thread's own tracees. It stays there to be seen again
/// until the tracee is continued or reaped.
pub(crate) fn wait_stop(target: WaitTarget, block: bool) -> io::Result<WaitEvent> {
    let block = if block { 0 } else { libc::WNOHANG };
    // Without __WNOTHREAD another tracer thread's stops would be seen (limits: wno.c).
    wait(
        target,
        libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT | libc::__WNOTHREAD | block,
    )
}

/// Collects a death that [`wait_stop`] or [`has_exited`] reported.
pub(crate) fn reap(tid: i32) {
    let _ = wait(WaitTarget::Thread(tid), libc::WEXITED | libc::WNOHANG);
}

/// Collects the stop of a tracee that is to stand still: it is not shown again. Its registers must
/// be such that it could go on by itself.
pub(crate) fn collect_stop(tid: i32) {
    let flags = libc::WSTOPPED | libc::__WNOTHREAD | libc::WNOHANG;
    let _ = wait(WaitTarget::Thread(tid), flags);
}

/// Whether a tracee of any thread of this process has died and waits to be reaped.
pub(crate) fn has_exited(tid: i32) -> bool {
    let flags = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
    matches!(
        wait(WaitTarget::Thread(tid), flags),
        Ok(WaitEvent::Exited { .. } | WaitEvent::Killed { .. })
    )
}

fn wait(target: WaitTarget, flags: libc::c_int) -> io::Result<WaitEvent> {
    let (kind, id) = match target {
        WaitTarget::Any => (libc::P_ALL, 0),
        WaitTarget::Thread(tid) => (libc::P_PID, tid.cast_unsigned()),
    };
    // SAFETY: an all-zero siginfo is valid, and waitid fills it. The fields read below are those
    // that waitid(2) defines for SIGCHLD codes.
    let (result, pid, code, status) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let result = libc::waitid(kind, id, &raw mut info, flags | libc::__WALL);
        (result, info.si_pid(), info.si_code, info.si_status())
    };
    if result < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::EINTR) => Ok(WaitEvent::Interrupted),
            Some(libc::ECHILD) => Ok(WaitEvent::NoTracees),
            _ => Err(error),
        };
    }
    Ok(match code {
        _ if pid == 0 => WaitEvent::Nothing,
        libc::CLD_EXITED => WaitEvent::Exited { tid: pid, status },
        libc::CLD_KILLED | libc::CLD_DUMPED => WaitEvent::Killed {
            tid: pid,
            signal: status,
        },
        _ => WaitEvent::Stopped { tid: pid, status },
    })
}
