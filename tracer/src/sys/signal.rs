use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signal that makes the tracer thread look at its commands. Only sent inside the tracer
/// process.
pub(crate) const WAKE: libc::c_int = libc::SIGUSR1;

extern "C" fn on_wake(_signal: libc::c_int) {}

static TERMINATION: AtomicBool = AtomicBool::new(false);

extern "C" fn on_termination(_signal: libc::c_int) {
    TERMINATION.store(true, Ordering::Relaxed);
}

/// Installs an empty handler without `SA_RESTART`, so that a wake-up ends a wait with `EINTR`.
pub(crate) fn install_wake_handler() -> io::Result<()> {
    install(WAKE, on_wake)
}

/// Makes the signals that end a process a request: the target has to be let go first.
pub(crate) fn install_termination_handler() -> io::Result<()> {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        install(signal, on_termination)?;
    }
    // A socket that closes is an error of the write, not a death.
    install(libc::SIGPIPE, on_wake)
}

pub(crate) fn termination_requested() -> bool {
    TERMINATION.load(Ordering::Relaxed)
}

fn install(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is valid; the handlers do nothing but store an atomic.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut())
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Wakes one thread of this process (tgkill(2)).
pub(crate) fn wake_thread(tid: i32) {
    let pid = std::process::id();
    // SAFETY: takes numbers only. A thread that is gone needs no waking.
    unsafe {
        libc::syscall(
            libc::SYS_tgkill,
            libc::c_long::from(pid),
            libc::c_long::from(tid),
            libc::c_long::from(WAKE),
        )
    };
}
