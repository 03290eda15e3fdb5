//! Giving way to everybody else on the machine, but for long.
//!
//! To the scheduler a session is a group with a nice value of its own (sched(7), "The autogroup
//! feature"). A thread of another group that wakes up on our CPU is given it at once where ours
//! is 19, and waits for up to a tick of the kernel's clock where it is 0. Unlike that of a thread,
//! it may be lowered and raised again without a privilege. Where there are no such groups, nothing
//! is changed.

use std::fs;
use std::io::{self, ErrorKind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::note::note;

const NICEST: &str = "19";
const ORDINARY: &str = "0";
/// How often we look whether we still get to run.
const ROUND: Duration = Duration::from_millis(200);
/// Waiting for a CPU, of all threads together in a round, that is too much.
const STARVING_NS: u64 = 100_000_000;
/// How long we do not give way after that.
const ORDINARY_FOR: Duration = Duration::from_secs(5);
/// The kernel lets a group's value be changed once in a tenth of a second.
const AGAIN: Duration = Duration::from_millis(100);
const TRIES: u32 = 20;

/// From now on the calling process's session gives way, if it is its own, and watches that it is
/// not forgotten over it.
pub(crate) fn give_way() {
    let own = nix::unistd::getsid(None).is_ok_and(|session| session == nix::unistd::getpid());
    if !own {
        return;
    }
    let name = "courtesy".to_owned();
    if let Err(error) = thread::Builder::new().name(name).spawn(watch) {
        note(&format!("nothing gives way: {error}"));
    }
}

/// Whether threads of the target may stand still until we have read them: whoever waits for us
/// does not wait for others. Before this returns we do not give way any more.
pub(crate) fn is_waited_for(yes: bool) {
    if WAITED_FOR.swap(yes, Ordering::AcqRel) == yes {
        return;
    }
    // Nobody watches where nothing gives way.
    let Some(watcher) = WATCHER.get() else { return };
    if yes {
        let _ = set_nice(ORDINARY);
    }
    watcher.unpark();
}

static WAITED_FOR: AtomicBool = AtomicBool::new(false);
/// Who is to be told when that changes.
static WATCHER: OnceLock<Thread> = OnceLock::new();

fn watch() {
    let _ = WATCHER.set(thread::current());
    loop {
        if !WAITED_FOR.load(Ordering::Acquire) {
            if set_nice(NICEST).is_err() {
                return;
            }
            until_it_is_too_much();
        }
        // Also where that was done while we gave way.
        if set_nice(ORDINARY).is_err() {
            return;
        }
        thread::park_timeout(ORDINARY_FOR);
        while WAITED_FOR.load(Ordering::Acquire) {
            thread::park();
        }
    }
}

/// Returns when we do not get to run, or must.
fn until_it_is_too_much() {
    let mut waited = waited_ns();
    while !WAITED_FOR.load(Ordering::Acquire) {
        thread::park_timeout(ROUND);
        let now = waited_ns();
        if now.saturating_sub(waited) > STARVING_NS {
            return;
        }
        waited = now;
    }
}

fn set_nice(value: &str) -> io::Result<()> {
    for _ in 0..TRIES {
        match fs::write("/proc/self/autogroup", value) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            written => return written,
        }
    }
    Err(ErrorKind::WouldBlock.into())
}

/// For how long threads of ours have been waiting for a CPU. Less when some have ended.
fn waited_ns() -> u64 {
    let mut waited = 0;
    for entry in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Ok(times) = fs::read_to_string(entry.path().join("schedstat")) {
            waited += second_number(&times).unwrap_or(0);
        }
    }
    waited
}

/// Of a thread's schedstat: what it has run, what it has waited, how often.
fn second_number(times: &str) -> Option<u64> {
    times.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{second_number, waited_ns};

    #[test]
    fn what_threads_have_waited_is_known() {
        assert_eq!(second_number("123 456 7\n"), Some(456));
        assert_eq!(second_number("123"), None);
        assert_eq!(second_number(""), None);
        // A thread that has run has waited for that.
        assert!(waited_ns() > 0);
    }
}
