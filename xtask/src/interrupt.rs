use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C, SIGTERM and SIGHUP are errors of what is being done, so that everything
/// that was started is ended on the way out.
pub(crate) fn become_errors() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("signal handlers")
}

/// Whether we were interrupted.
pub(crate) fn is_pending() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// An error if we were interrupted.
pub(crate) fn check() -> Result<()> {
    if is_pending() {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits, unless we are interrupted.
pub(crate) fn sleep(time: Duration) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        check()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Runs a command to its end; an interruption of us becomes one of it.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    check()?;
    let words = format!("{command:?}");
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {words}"))?;
    loop {
        if let Some(status) = child.try_wait()? {
            check()?;
            return Ok(status);
        }
        if check().is_err() {
            end(&mut child);
            bail!("interrupted");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// As [`run`], without its streams; an exit status other than 0 is an error.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = run(command)?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Asks a child to end, as Ctrl-C would, and sees that it does.
pub(crate) fn end(child: &mut Child) {
    let pid = Pid::from_raw(child.id().cast_signed());
    // It may have ended by itself.
    let _ = kill(pid, Signal::SIGINT);
    for _ in 0..1000 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}
