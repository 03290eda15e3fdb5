//! SIGBUS, which the kernel sends to whoever reads a mapped page that its file does not have any
//! more. Where the page is of a map of ours, it is replaced by zeros, and the map is marked torn;
//! everything else is left to whoever was there before: Rust's own handler for stack overflows, or
//! the default action. systemd's journal does the same (src/basic/sigbus.c).
//!
//! The handler runs in the thread that read, wherever that was. It takes no lock and allocates
//! nothing: the table is made of atomics, grows by chunks and never shrinks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

/// A range of memory that is a map of a file, from its registration until this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    slot: &'static Slot,
}

impl Registered {
    /// `start` is the beginning of a map, `len` its bytes. Nobody has read the map yet.
    pub(super) fn new(start: usize, len: usize) -> Registered {
        install();
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = free.pop().unwrap_or_else(|| {
            let chunk = TABLE.grow();
            free.extend(chunk.slots[1..].iter());
            &chunk.slots[0]
        });
        slot.set(start, len);
        Registered { slot }
    }

    /// Whether a page of it was missing when it was read.
    pub(super) fn is_torn(&self) -> bool {
        self.slot.torn.load(Ordering::SeqCst)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        self.slot.set(0, 0);
        free.push(self.slot);
    }
}

/// One map. `version` is odd while the others change, which the handler may see for the maps of
/// other threads only.
#[derive(Debug)]
struct Slot {
    version: AtomicUsize,
    start: AtomicUsize,
    len: AtomicUsize,
    torn: AtomicBool,
}

impl Slot {
    const fn empty() -> Slot {
        Slot {
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            torn: AtomicBool::new(false),
        }
    }

    /// Only with the list of free slots locked.
    fn set(&self, start: usize, len: usize) {
        self.version.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.start.store(start, Ordering::SeqCst);
        self.len.store(len, Ordering::SeqCst);
        self.torn.store(false, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// The end of the map, if the address is in it.
    fn end_around(&self, addr: usize) -> Option<usize> {
        let version = self.version.load(Ordering::SeqCst);
        let (start, len) = (
            self.start.load(Ordering::SeqCst),
            self.len.load(Ordering::SeqCst),
        );
        fence(Ordering::SeqCst);
        let is_stable = version.is_multiple_of(2) && version == self.version.load(Ordering::SeqCst);
        (is_stable && addr >= start && addr - start < len).then(|| start + len)
    }
}

const CHUNK: usize = 256;

#[derive(Debug)]
struct Chunk {
    slots: [Slot; CHUNK],
    next: OnceLock<Box<Chunk>>,
}

impl Chunk {
    const fn empty() -> Chunk {
        Chunk {
            slots: [const { Slot::empty() }; CHUNK],
            next: OnceLock::new(),
        }
    }

    /// Adds a chunk at the end. Only with the list of free slots locked.
    fn grow(&'static self) -> &'static Chunk {
        let mut last = self;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last.next.get_or_init(|| Box::new(Chunk::empty()))
    }
}

/// Its own slots stay empty: the first map makes the first chunk of use.
static TABLE: Chunk = Chunk::empty();
static FREE: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

fn find(addr: usize) -> Option<(&'static Slot, usize)> {
    let mut chunk = Some(&TABLE);
    while let Some(here) = chunk {
        for slot in &here.slots {
            if let Some(end) = slot.end_around(addr) {
                return Some((slot, end));
            }
        }
        chunk = here.next.get().map(|next| &**next);
    }
    None
}

#[expect(unsafe_code, reason = "the fence is this folder")]
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a zeroed sigaction is a valid one: default action, no flags, empty mask.
        let (mut previous, mut ours): (libc::sigaction, libc::sigaction) =
            unsafe { std::mem::zeroed() };
        // SAFETY: asks only; `previous` is ours to write.
        unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut previous) };
        // Before ours is installed, so that it finds it whenever it runs.
        PREVIOUS.get_or_init(|| previous);
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            on_sigbus;
        ours.sa_sigaction = handler as libc::sighandler_t;
        // On the alternate stack, where a thread has one: a previous handler may rely on it.
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `on_sigbus` has the form that SA_SIGINFO asks for and calls only what may be
        // called in a handler.
        unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, std::ptr::null_mut()) };
    });
}

#[expect(unsafe_code, reason = "the fence is this folder")]
extern "C" fn on_sigbus(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: with SA_SIGINFO the kernel gives a siginfo, and si_addr is set for BUS_ADRERR.
    let (code, addr) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if code == libc::BUS_ADRERR
        && let Some((slot, end)) = find(addr)
        && put_zeros(addr, end)
    {
        slot.torn.store(true, Ordering::SeqCst);
        return;
    }
    forward(signal, info, context);
}

/// Puts zeros in the place of a map from the page of `addr` on: behind a page that its file does
/// not have there is none that it has.
#[expect(unsafe_code, reason = "the fence is this folder")]
fn put_zeros(addr: usize, end: usize) -> bool {
    const PAGE: usize = 4096;
    let page = addr & !(PAGE - 1);
    // SAFETY: the errno of this thread, which whatever was interrupted may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: from `page` to `end` is a part of a map of ours that is registered and so not
    // unmapped: the thread that reads it holds a reference to it. It is read as plain bytes,
    // which may change at any time as those of any file may.
    let mapped = unsafe {
        libc::mmap(
            page as *mut libc::c_void,
            end - page,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    mapped != libc::MAP_FAILED
}

/// Not ours: what would have happened without us.
#[expect(unsafe_code, reason = "the fence is this folder")]
fn forward(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Plain = extern "C" fn(libc::c_int);
    type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let previous = PREVIOUS.get().filter(|previous| {
        previous.sa_sigaction != libc::SIG_DFL && previous.sa_sigaction != libc::SIG_IGN
    });
    match previous {
        Some(previous) if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: it was installed with SA_SIGINFO, so that it has this form.
            let handler: WithInfo = unsafe { std::mem::transmute(previous.sa_sigaction) };
            handler(signal, info, context);
        }
        Some(previous) => {
            // SAFETY: it was installed without SA_SIGINFO, so that it has this form.
            let handler: Plain = unsafe { std::mem::transmute(previous.sa_sigaction) };
            handler(signal);
        }
        None => {
            // SAFETY: signal and raise are async-signal-safe. The instruction faults again when
            // we return; a signal that somebody sent has to be sent again, and is delivered then.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if (*info).si_code <= 0 {
                    libc::raise(signal);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::super::Mapped;

    const PAGE: usize = 4096;

    fn file_of(pages: usize) -> File {
        let path = std::env::temp_dir().join(format!(
            "lr-torn-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(&vec![7; pages * PAGE]).unwrap();
        file
    }

    #[test]
    fn a_map_that_is_cut_short_reads_as_zeros_and_is_torn() {
        let (cut, whole) = (file_of(600), file_of(600));
        let (map, other) = (Mapped::new(&cut).unwrap(), Mapped::new(&whole).unwrap());
        cut.set_len(PAGE as u64 + 10).unwrap();
        assert!(!map.is_torn());
        // The rest of the last page reads as zeros without a signal.
        assert_eq!(&map[PAGE + 8..PAGE + 12], [7, 7, 0, 0]);
        assert!(!map.is_torn());
        assert!(map[2 * PAGE..].iter().all(|&byte| byte == 0));
        assert!(map.is_torn());
        assert!(other.iter().all(|&byte| byte == 7));
        assert!(!other.is_torn());
    }

    #[test]
    fn many_threads_read_maps_that_are_cut_short() {
        std::thread::scope(|scope| {
            for thread in 0..8_usize {
                scope.spawn(move || {
                    for round in 0..100 {
                        let file = file_of(20);
                        let map = Mapped::new(&file).unwrap();
                        let keep = (thread + round) % 20;
                        file.set_len((keep * PAGE) as u64).unwrap();
                        std::thread::scope(|scope| {
                            for _ in 0..2 {
                                let map = &map;
                                scope.spawn(move || {
                                    let sum: usize =
                                        map.iter().map(|&byte| usize::from(byte)).sum();
                                    assert_eq!(sum, keep * PAGE * 7);
                                });
                            }
                        });
                        assert!(map.is_torn());
                    }
                });
            }
        });
    }

    #[test]
    fn more_maps_than_the_table_begins_with() {
        let files: Vec<File> = (0..700).map(|_| file_of(1)).collect();
        let maps: Vec<Mapped> = files
            .iter()
            .map(|file| Mapped::new(file).unwrap())
            .collect();
        files[650].set_len(0).unwrap();
        assert_eq!(maps[650][0], 0);
        assert!(maps[650].is_torn());
        assert!(maps.iter().filter(|map| map.is_torn()).count() == 1);
    }

    /// The test below runs this one alone, in a process of its own.
    #[test]
    fn reads_a_map_that_is_not_ours() {
        if std::env::var_os("LR_FOREIGN_MAP").is_none() {
            return;
        }
        let ours = Mapped::new(&file_of(2)).unwrap();
        assert_eq!(ours[0], 7);
        let file = file_of(2);
        // SAFETY: the file is ours, and to be cut short under it is what is tried.
        #[expect(unsafe_code, reason = "the fence is this folder")]
        let foreign = unsafe { memmap2::Mmap::map(&file).unwrap() };
        file.set_len(0).unwrap();
        println!("reading");
        std::hint::black_box(foreign[PAGE]);
        println!("survived");
    }

    #[test]
    fn a_map_that_is_not_ours_ends_the_process_as_before() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("loader::sigbus::tests::reads_a_map_that_is_not_ours")
            .env("LR_FOREIGN_MAP", "1")
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stdout);
        assert!(
            words.contains("reading") && !words.contains("survived"),
            "{words}"
        );
        assert_eq!(output.status.signal(), Some(libc::SIGBUS));
    }
}
