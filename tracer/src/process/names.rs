//! The names of threads, for programs that ask.

use std::collections::HashMap;
use std::io::Read;

use lr_probe::ThreadName;

use crate::process::monotonic_ns;

/// How long a name is believed: a thread may change it by itself, of which nobody tells us.
const BELIEVED_NS: u64 = 1_000_000_000;
/// A target that starts threads all the time must not fill our memory.
const MOST: usize = 4096;

/// What is known of the names, each read at most once a second: three system calls, of some
/// microseconds together, and none at the hits between.
#[derive(Debug, Default)]
pub(crate) struct ThreadNames {
    known: HashMap<u32, (u64, ThreadName)>,
}

impl ThreadNames {
    /// Empty where the thread is gone.
    pub(crate) fn of(&mut self, tid: u32) -> ThreadName {
        let now = monotonic_ns();
        if let Some((read_at, name)) = self.known.get(&tid)
            && now.saturating_sub(*read_at) < BELIEVED_NS
        {
            return *name;
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let name = read(tid).unwrap_or_default();
        self.known.insert(tid, (now, name));
        name
    }

    /// The number may be another thread's.
    pub(crate) fn forget(&mut self, tid: i32) {
        self.known.remove(&tid.cast_unsigned());
    }
}

fn read(tid: u32) -> Option<ThreadName> {
    let mut file = std::fs::File::open(format!("/proc/{tid}/comm")).ok()?;
    // Those of kernel threads are longer, and no target has one.
    let mut name = [0; 64];
    let len = file.read(&mut name).ok()?;
    let name = &name[..len];
    Some(ThreadName::new(name.strip_suffix(b"\n").unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::ThreadNames;

    #[test]
    fn a_thread_is_called_by_its_name() {
        let thread = std::thread::Builder::new().name("checkout-7".to_owned());
        let own = || nix::unistd::gettid().as_raw();
        let asked = thread.spawn(move || {
            let mut names = ThreadNames::default();
            let tid = own();
            let first = names.of(tid.cast_unsigned());
            std::fs::write(format!("/proc/self/task/{tid}/comm"), "other").unwrap();
            let believed = names.of(tid.cast_unsigned());
            names.forget(tid);
            [first, believed, names.of(tid.cast_unsigned())]
        });
        let told = asked.unwrap().join().unwrap();
        let told: Vec<&[u8]> = told.iter().map(|name| name.bytes()).collect();
        assert_eq!(told[0], b"checkout-7");
        assert!(
            told[1] == b"checkout-7" || told[1] == b"other",
            "a second may pass here"
        );
        assert_eq!(told[2], b"other");
        assert_eq!(ThreadNames::default().of(u32::MAX).bytes(), b"");
    }
}
