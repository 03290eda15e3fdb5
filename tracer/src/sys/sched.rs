//! Scheduling policies of threads (sched(7)).

use std::io;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Policy {
    /// `SCHED_OTHER`
    Other,
    /// `SCHED_IDLE`
    Idle,
    /// `SCHED_FIFO` with the lowest priority of its kind.
    Fifo,
}

/// Of a thread, or of the calling one for 0. Its nice value stays.
pub(crate) fn set_policy(tid: i32, policy: Policy) -> io::Result<()> {
    let (number, priority) = match policy {
        Policy::Other => (libc::SCHED_OTHER, 0),
        Policy::Idle => (libc::SCHED_IDLE, 0),
        Policy::Fifo => (libc::SCHED_FIFO, 1),
    };
    // SAFETY: all-zero is valid for the structure, which the kernel reads.
    let result = unsafe {
        let mut parameters: libc::sched_param = std::mem::zeroed();
        parameters.sched_priority = priority;
        libc::sched_setscheduler(tid, number, &raw const parameters)
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Of a thread, or of the calling one for 0; `None` for the others that there are.
pub(crate) fn policy(tid: i32) -> Option<Policy> {
    // SAFETY: takes a number only.
    match unsafe { libc::sched_getscheduler(tid) } {
        libc::SCHED_OTHER => Some(Policy::Other),
        libc::SCHED_IDLE => Some(Policy::Idle),
        libc::SCHED_FIFO => Some(Policy::Fifo),
        _ => None,
    }
}
