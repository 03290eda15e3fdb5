use std::collections::HashMap;
use std::time::{Duration, Instant};

use lr_protocol::Name;

use crate::host::thread_name;

/// The names of a target's threads. A name may change, and a tid may name another thread later,
/// so what is known is believed for a second only.
#[derive(Debug)]
pub(crate) struct ThreadNames {
    pid: u32,
    names: HashMap<u32, (Instant, Name)>,
}

const BELIEVED: Duration = Duration::from_secs(1);
/// A target that starts threads all the time must not fill our memory.
const MOST: usize = 4096;

impl ThreadNames {
    pub(crate) fn new(pid: u32) -> ThreadNames {
        ThreadNames {
            pid,
            names: HashMap::new(),
        }
    }

    /// Empty for a thread that ended before it was asked about.
    pub(crate) fn name(&mut self, tid: u32) -> Name {
        let now = Instant::now();
        if self.names.len() >= MOST && !self.names.contains_key(&tid) {
            self.names.clear();
        }
        let pid = self.pid;
        let known = self
            .names
            .entry(tid)
            .or_insert_with(|| (now, asked(pid, tid).unwrap_or_default()));
        if now.duration_since(known.0) > BELIEVED {
            // A thread that has ended keeps the name that it had.
            let name = asked(pid, tid).unwrap_or_else(|| std::mem::take(&mut known.1));
            *known = (now, name);
        }
        known.1.clone()
    }
}

fn asked(pid: u32, tid: u32) -> Option<Name> {
    thread_name(pid, tid).map(Name::from)
}

#[cfg(test)]
mod tests {
    use super::ThreadNames;

    #[test]
    fn threads_are_called_by_their_own_names() {
        let pid = std::process::id();
        let tid = || u32::try_from(nix::unistd::gettid().as_raw()).unwrap();
        let thread = std::thread::Builder::new().name("checkout-7".to_owned());
        let name = thread
            .spawn(move || ThreadNames::new(pid).name(tid()).to_owned())
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(name, "checkout-7");
        assert_eq!(ThreadNames::new(pid).name(u32::MAX), "");
    }
}
