//! The memory of another process, read with process_vm_readv(2), which respects the process's page
//! protections.
//!
//! Reading a page that is not there makes the kernel fetch it. That takes as long as whoever has it
//! likes, be it a handler of userfaultfd, a FUSE daemon or a disk, and only SIGKILL ends it. So such
//! a page is fetched by a thread of our own, which is left behind if it does not come back.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;
/// Pages that are looked up at once.
const PAGES_AT_ONCE: usize = 16;

/// Threads that may wait for pages at the same time. While all of them do, what is not there is
/// unreadable at once.
const FETCHERS: usize = 2;
/// How often a fetcher is looked at, and how often in a row it may be seen asleep before it is left
/// behind. One that waits for a CPU does not wait for the page.
const LOOK: Duration = Duration::from_millis(1);
const MOST_LOOKS: u32 = 10;

/// Reads for one thread of ours. Whoever reads has to stay in the same address space.
#[derive(Debug)]
pub struct RemoteMemory {
    tid: Pid,
    /// `None` where it may not be read; then nothing is taken to be there.
    pagemap: Option<File>,
    fetchers: Vec<Fetcher>,
    /// Pages that are there for as long as nobody is let on: no page is at 1.
    there: [u64; 2],
    /// Somebody was waited for in vain since [`Self::begin`].
    is_out_of_patience: bool,
}

impl RemoteMemory {
    pub fn new(tid: u32) -> RemoteMemory {
        RemoteMemory {
            tid: Pid::from_raw(tid.cast_signed()),
            pagemap: File::open(format!("/proc/{tid}/pagemap")).ok(),
            fetchers: (0..FETCHERS).filter_map(|_| Fetcher::start()).collect(),
            there: [1; 2],
            is_out_of_patience: false,
        }
    }

    /// Memory is read through `tid` from now on, since a leader that has ended has none. It has
    /// just used the page at `touched`, if one is named.
    pub fn begin(&mut self, tid: u32, touched: Option<u64>) {
        self.tid = Pid::from_raw(tid.cast_signed());
        self.there = [touched.map_or(1, page_of), 1];
        self.is_out_of_patience = false;
    }

    /// How many bytes could be read, from the first one on.
    pub fn read(&mut self, address: u64, out: &mut [u8]) -> usize {
        let mut done = 0;
        while done < out.len() {
            let at = address.wrapping_add(done as u64);
            let (len, is_there) = self.look_up(at, out.len() - done);
            let part = &mut out[done..done + len];
            let read = match is_there {
                true => read_now(self.tid, at, part),
                false => self.fetch(at, part),
            };
            done += read;
            if read < len {
                break;
            }
        }
        done
    }

    /// Of how many bytes, at most `most`, one can say whether they are there.
    fn look_up(&mut self, address: u64, most: usize) -> (usize, bool) {
        let first = page_of(address);
        let offset = usize::try_from(address - first).expect("below a page");
        let pages = (offset + most).div_ceil(PAGE).min(PAGES_AT_ONCE);
        if pages == 1 && self.there.contains(&first) {
            return (most, true);
        }
        let mut entries = [0; 8 * PAGES_AT_ONCE];
        let entries = &mut entries[..8 * pages];
        let at = first / PAGE_BYTES * 8;
        let is_known = |file: &File| file.read_exact_at(entries, at).is_ok();
        if !self.pagemap.as_ref().is_some_and(is_known) {
            return (most.min(PAGE - offset), false);
        }
        // The top bit: present (pagemap.rst of the kernel).
        let is_there = |entry: &&[u8; 8]| entry[7] & 0x80 != 0;
        let there = entries.as_chunks::<8>().0.iter().take_while(is_there);
        match there.count() {
            0 => (most.min(PAGE - offset), false),
            count => {
                self.there[1] = first + (count as u64 - 1) * PAGE_BYTES;
                (most.min(count * PAGE - offset), true)
            }
        }
    }

    /// At most a page, by somebody who can be left behind.
    fn fetch(&mut self, address: u64, out: &mut [u8]) -> usize {
        if self.is_out_of_patience {
            return 0;
        }
        let Some(fetcher) = self.fetchers.iter().find(|fetcher| fetcher.is_free()) else {
            return 0;
        };
        match fetcher.fetch(self.tid, address, out) {
            Some(read) => read,
            None => {
                self.is_out_of_patience = true;
                0
            }
        }
    }
}

fn page_of(address: u64) -> u64 {
    address - address % PAGE_BYTES
}

fn read_now(tid: Pid, address: u64, out: &mut [u8]) -> usize {
    let Ok(base) = usize::try_from(address) else {
        return 0;
    };
    let len = out.len();
    let remote = [RemoteIoVec { base, len }];
    process_vm_readv(tid, &mut [IoSliceMut::new(out)], &remote).unwrap_or(0)
}

/// A thread that reads what may take for ever.
#[derive(Debug)]
struct Fetcher(Arc<Errands>);

#[derive(Debug)]
struct Errands {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Debug)]
struct Work {
    phase: Phase,
    bytes: Box<[u8; PAGE]>,
    /// The fetcher's own number, once it runs.
    tid: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Free,
    Asked {
        tid: Pid,
        address: u64,
        len: usize,
    },
    Fetching,
    Fetched(usize),
    /// Nobody waits for the answer any more.
    LeftBehind,
    Over,
}

impl Errands {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut work = self.work();
        work.tid = nix::unistd::gettid().as_raw();
        let mut bytes = Box::new([0; PAGE]);
        loop {
            let (tid, address, len) = match work.phase {
                Phase::Over => return,
                Phase::Asked { tid, address, len } => (tid, address, len),
                _ => {
                    let waited = self.changed.wait(work);
                    work = waited.unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            work.phase = Phase::Fetching;
            drop(work);
            let read = read_now(tid, address, &mut bytes[..len]);
            work = self.work();
            work.phase = match work.phase {
                Phase::Over => return,
                Phase::LeftBehind => Phase::Free,
                _ => Phase::Fetched(read),
            };
            *work.bytes = *bytes;
            self.changed.notify_all();
        }
    }
}

impl Fetcher {
    fn start() -> Option<Fetcher> {
        let desk = Arc::new(Errands {
            work: Mutex::new(Work {
                phase: Phase::Free,
                bytes: Box::new([0; PAGE]),
                tid: 0,
            }),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&desk);
        let thread = std::thread::Builder::new().name("lr-fetch".to_owned());
        thread.spawn(move || theirs.serve()).ok()?;
        Some(Fetcher(desk))
    }

    fn is_free(&self) -> bool {
        self.0.work().phase == Phase::Free
    }

    /// `None` if the page did not come.
    fn fetch(&self, tid: Pid, address: u64, out: &mut [u8]) -> Option<usize> {
        let len = out.len();
        let mut work = self.0.work();
        work.phase = Phase::Asked { tid, address, len };
        self.0.changed.notify_all();
        let mut asleep = 0;
        loop {
            let waited = self.0.changed.wait_timeout(work, LOOK);
            work = waited.unwrap_or_else(PoisonError::into_inner).0;
            if let Phase::Fetched(read) = work.phase {
                out[..read].copy_from_slice(&work.bytes[..read]);
                work.phase = Phase::Free;
                return Some(read);
            }
            if work.phase == Phase::Fetching && is_asleep(work.tid) {
                asleep += 1;
            }
            if asleep > MOST_LOOKS {
                work.phase = Phase::LeftBehind;
                return None;
            }
        }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.0.work().phase = Phase::Over;
        self.0.changed.notify_all();
    }
}

/// Of a thread of ours.
fn is_asleep(tid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat")) else {
        return false;
    };
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with(['S', 'D']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_this_process() -> RemoteMemory {
        RemoteMemory::new(std::process::id())
    }

    fn address_of<T: ?Sized>(value: &T) -> u64 {
        (&raw const *value).cast::<u8>() as usize as u64
    }

    #[test]
    fn pages_are_read_whether_they_are_there_or_not() {
        let mut memory = of_this_process();
        // The zeros of a new allocation are in no page before they are touched.
        let fresh = vec![0u8; 64 * PAGE];
        let mut touched = vec![7u8; 64 * PAGE];
        touched[5] = 9;
        let mut out = vec![1; 40 * PAGE];
        assert_eq!(memory.read(address_of(&*fresh), &mut out), out.len());
        assert!(out.iter().all(|&byte| byte == 0));
        assert_eq!(memory.read(address_of(&*touched) + 5, &mut out), out.len());
        assert_eq!((out[0], out[out.len() - 1]), (9, 7));
    }

    #[test]
    fn what_is_mapped_nowhere_is_not_read() {
        let mut memory = of_this_process();
        let mut out = [0; 16];
        for address in [0, 8, u64::MAX - 8, 0x7fff_ffff_fff8, 1 << 63] {
            assert_eq!(memory.read(address, &mut out), 0, "{address:#x}");
        }
    }

    #[test]
    fn without_a_pagemap_everything_is_fetched() {
        let mut memory = of_this_process();
        memory.pagemap = None;
        let text = "what is read";
        let mut out = vec![0; text.len()];
        assert_eq!(memory.read(address_of(text), &mut out), text.len());
        assert_eq!(out, text.as_bytes());
    }
}
