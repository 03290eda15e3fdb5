//! What the agent does at once when the tracer process has died with bytes planted: it puts them
//! back. A thread that meets one before that dies of its SIGTRAP, so this thread goes before others
//! where it may.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::journal;
use crate::process::text::{Restored, Text};
use crate::shared::Shared;
use crate::sys::{self, Policy};

/// What was put back after the tracer's death.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rescued {
    /// Bytes that are the original again.
    pub restored: u32,
    /// Bytes that could not be put back, because the process or the mapping is gone, or that were
    /// somebody else's.
    pub left: u32,
}

#[derive(Debug)]
pub(crate) struct Guard {
    watched: Arc<Watched>,
    thread: JoinHandle<Rescued>,
}

#[derive(Debug)]
struct Watched {
    shared: Arc<Shared>,
    /// Opened beforehand: there is no time for it then.
    text: Mutex<Option<(u64, Text)>>,
}

impl Watched {
    fn text(&self) -> MutexGuard<'_, Option<(u64, Text)>> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    /// `alive` reads as closed when the tracer process has gone, however it went.
    pub(crate) fn start(shared: Arc<Shared>, alive: OwnedFd) -> io::Result<Guard> {
        let watched = Arc::new(Watched {
            shared,
            text: Mutex::new(None),
        });
        let its = Arc::clone(&watched);
        let thread = std::thread::Builder::new()
            .name("guard".to_owned())
            .spawn(move || {
                // Without the privilege it waits its turn as others do.
                let _ = sys::set_policy(0, Policy::Fifo);
                wait_for_the_end(&alive);
                its.rescue()
            })?;
        Ok(Guard { watched, thread })
    }

    /// The tracer may have planted something in the process by now.
    pub(crate) fn look_at(&self, pid: u32) {
        let epoch = journal::epoch(&self.watched.shared);
        let mut text = self.watched.text();
        if text.as_ref().is_none_or(|(of, _)| *of != epoch)
            && let Some(opened) = i32::try_from(pid).ok().and_then(|pid| Text::open(pid).ok())
        {
            *text = Some((epoch, opened));
        }
    }

    /// Waits for the tracer's end, and for what is to be done then.
    pub(crate) fn finish(self) -> Rescued {
        self.thread.join().unwrap_or_default()
    }
}

fn wait_for_the_end(alive: &OwnedFd) {
    let mut fds = [PollFd::new(alive.as_fd(), PollFlags::empty())];
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
}

impl Watched {
    fn rescue(&self) -> Rescued {
        let mut rescued = Rescued::default();
        let text = self.text();
        for byte in journal::planted(&self.shared) {
            let restored = text
                .as_ref()
                .map(|(_, text)| text.restore(byte.address, byte.original));
            match restored {
                Some(Restored::Yes) => rescued.restored += 1,
                Some(Restored::Foreign | Restored::Unmapped) | None => rescued.left += 1,
            }
        }
        rescued
    }
}
