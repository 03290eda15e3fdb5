//! What proc(5) tells of a target. Everything here may be gone at the next moment.

use std::fs;
use std::os::unix::fs::FileExt;

use crate::sys;

/// The bit of SIGTRAP in a signal mask.
pub(crate) const TRAP_BIT: u64 = 1 << (libc::SIGTRAP - 1);

/// The threads of a process.
pub(crate) fn threads(pid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// A thread through which the memory of a process can be reached: a main thread that has ended while
/// others go on has none.
pub(crate) fn living_thread(pid: i32) -> i32 {
    let lives = |tid: i32| status(tid).is_some_and(|status| !matches!(status.state, b'Z' | b'X'));
    if lives(pid) {
        return pid;
    }
    threads(pid)
        .into_iter()
        .find(|&tid| lives(tid))
        .unwrap_or(pid)
}

/// All processes.
pub(crate) fn processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether two threads share their address space.
pub(crate) fn share_memory(a: i32, b: i32) -> bool {
    // Those that have none, as kernel threads and the dead, have the same none.
    sys::same_address_space(a, b).unwrap_or(false) && has_memory(b)
}

fn has_memory(tid: i32) -> bool {
    text_of(&format!("/proc/{tid}/statm")).is_some_and(|text| !text.starts_with("0 "))
}

/// What `/proc/TID/status` says of one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Status {
    pub(crate) tgid: i32,
    /// The thread that traces it, or 0.
    pub(crate) tracer: i32,
    pub(crate) state: u8,
    /// Blocked signals.
    pub(crate) blocked: u64,
    /// Signals that wait for this thread.
    pub(crate) pending: u64,
    /// Signals that the process ignores.
    pub(crate) ignored: u64,
    /// Signals that the process handles.
    pub(crate) caught: u64,
    /// The first process of its pid namespace.
    pub(crate) is_first: bool,
}

pub(crate) fn status(tid: i32) -> Option<Status> {
    parse_status(&text_of(&format!("/proc/{tid}/status"))?)
}

/// Whether this process has `CAP_SYS_PTRACE`. Programs that its tracees start do not gain privilege
/// where it has not.
pub(crate) fn may_trace_all() -> bool {
    const SYS_PTRACE: u64 = 1 << 19;
    let Some(text) = text_of("/proc/self/status") else {
        return false;
    };
    let effective = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & SYS_PTRACE != 0)
}

/// The name in it may be any bytes: the kernel cuts one of 16 characters in the middle of its last.
fn text_of(path: &str) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse_status(text: &str) -> Option<Status> {
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line[name.len()..].trim())
    };
    Some(Status {
        tgid: field("Tgid:")?.parse().ok()?,
        tracer: field("TracerPid:")?.parse().ok()?,
        state: *field("State:")?.as_bytes().first()?,
        blocked: u64::from_str_radix(field("SigBlk:")?, 16).ok()?,
        pending: u64::from_str_radix(field("SigPnd:")?, 16).ok()?,
        ignored: u64::from_str_radix(field("SigIgn:")?, 16).ok()?,
        caught: u64::from_str_radix(field("SigCgt:")?, 16).ok()?,
        // The last is the number in the innermost one.
        is_first: field("NStgid:")
            .is_some_and(|ids| ids.split_whitespace().next_back() == Some("1")),
    })
}

/// Where a thread is in its life, and the CPU that it ran on last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Activity {
    pub(crate) state: u8,
    pub(crate) cpu: usize,
}

pub(crate) fn activity(pid: i32, tid: i32) -> Option<Activity> {
    parse_stat(&text_of(&format!("/proc/{pid}/task/{tid}/stat"))?)
}

fn parse_stat(text: &str) -> Option<Activity> {
    // The command name is in parentheses and may hold anything, also parentheses.
    let rest = text.get(text.rfind(')')? + 1..)?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // State is field 3, the processor field 39.
    let cpu = fields.nth(35)?.parse().ok()?;
    Some(Activity { state, cpu })
}

/// When a process started, in clock ticks since boot: with the pid, its identity.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let text = text_of(&format!("/proc/{pid}/stat"))?;
    let rest = text.get(text.rfind(')')? + 1..)?;
    // State is field 3, the start time field 22.
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// What the scheduler says of a thread (schedstat).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SchedTimes {
    /// CPU time that it has used.
    pub(crate) ran_ns: u64,
    /// Time for which it could have run and did not.
    pub(crate) waited_ns: u64,
}

pub(crate) fn sched_times(pid: i32, tid: i32) -> Option<SchedTimes> {
    parse_schedstat(&fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?)
}

/// What /proc says of one thread, again and again: its files stay open, which spares most of what
/// reading them costs.
#[derive(Debug)]
pub(crate) struct ThreadFiles {
    stat: fs::File,
    schedstat: fs::File,
}

impl ThreadFiles {
    pub(crate) fn open(pid: i32, tid: i32) -> Option<ThreadFiles> {
        ThreadFiles::in_folder(&format!("/proc/{pid}/task/{tid}"))
    }

    /// Of the calling thread.
    pub(crate) fn own() -> Option<ThreadFiles> {
        ThreadFiles::in_folder("/proc/thread-self")
    }

    fn in_folder(folder: &str) -> Option<ThreadFiles> {
        Some(ThreadFiles {
            stat: fs::File::open(format!("{folder}/stat")).ok()?,
            schedstat: fs::File::open(format!("{folder}/schedstat")).ok()?,
        })
    }

    /// `None` if the thread is gone.
    pub(crate) fn activity(&self) -> Option<Activity> {
        read_again(&self.stat, parse_stat)
    }

    pub(crate) fn times(&self) -> Option<SchedTimes> {
        read_again(&self.schedstat, parse_schedstat)
    }
}

/// What is parsed of the beginning of a small file.
fn read_again<T>(file: &fs::File, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut buffer = [0; 1024];
    let length = file.read_at(&mut buffer, 0).ok()?;
    // Of a name with odd bytes, which comes before what we want.
    parse(&String::from_utf8_lossy(&buffer[..length]))
}

fn parse_schedstat(text: &str) -> Option<SchedTimes> {
    let mut fields = text.split_ascii_whitespace();
    Some(SchedTimes {
        ran_ns: fields.next()?.parse().ok()?,
        waited_ns: fields.next()?.parse().ok()?,
    })
}

/// CPU time that a thread has used, in nanoseconds.
pub(crate) fn cpu_time_ns(pid: i32, tid: i32) -> Option<u64> {
    sched_times(pid, tid).map(|times| times.ran_ns)
}

/// The system call that a thread is asleep in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SystemCall {
    /// -1 in none, as during a page fault.
    pub(crate) number: i64,
    /// Its first argument; 0 in none.
    pub(crate) first: u64,
}

/// `None` if the thread runs. One that is gone is in no call.
pub(crate) fn system_call(tid: i32) -> Option<SystemCall> {
    const NONE: SystemCall = SystemCall {
        number: -1,
        first: 0,
    };
    match fs::read_to_string(format!("/proc/{tid}/syscall")) {
        Ok(text) => parse_syscall(&text),
        Err(_) => Some(NONE),
    }
}

fn parse_syscall(text: &str) -> Option<SystemCall> {
    let mut fields = text.split_ascii_whitespace();
    let number = fields.next()?.parse().ok()?;
    let first = fields.next()?.strip_prefix("0x")?;
    let first = u64::from_str_radix(first, 16).ok()?;
    Some(SystemCall {
        number,
        first: if number < 0 { 0 } else { first },
    })
}

/// One line of `/proc/PID/maps`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mapping {
    start: u64,
    end: u64,
    permissions: String,
    offset: u64,
    device: String,
    inode: u64,
    path: String,
}

/// Which byte of which file an address shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Backing {
    device: String,
    inode: u64,
    offset: u64,
}

/// What an address space had mapped at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mappings {
    lines: Vec<Mapping>,
}

impl Mappings {
    /// `None` where they cannot be read, or the address space is gone.
    pub(crate) fn read(pid: i32) -> Option<Mappings> {
        let text = fs::read(format!("/proc/{pid}/maps")).ok()?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<Mapping> = text.lines().filter_map(parse_mapping).collect();
        (!lines.is_empty()).then_some(Mappings { lines })
    }

    pub(crate) fn at(&self, address: u64) -> Option<&Mapping> {
        // The kernel writes them in the order of their addresses.
        let after = self.lines.partition_point(|line| line.start <= address);
        let line = &self.lines[after.checked_sub(1)?];
        (address < line.end).then_some(line)
    }

    /// Where in a file the byte at an address comes from; `None` where writes would reach others.
    pub(crate) fn backing(&self, address: u64) -> Option<Backing> {
        let line = self.at(address)?;
        let is_private = line.permissions.as_bytes().get(3) == Some(&b'p');
        (is_private && line.inode != 0).then(|| Backing {
            device: line.device.clone(),
            inode: line.inode,
            offset: line.offset.wrapping_add(address - line.start),
        })
    }
}

impl Mapping {
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Why a byte here may not be changed, if it may not.
    pub(crate) fn objection(&self) -> Option<String> {
        let permissions = self.permissions.as_bytes();
        let is = |index: usize, letter: u8| permissions.get(index) == Some(&letter);
        if is(3, b's') {
            return Some(format!("mapped shared from {}", self.path));
        }
        if is(1, b'w') {
            return Some("writable".to_owned());
        }
        if !is(2, b'x') {
            return Some("not executable".to_owned());
        }
        // memfd and hugetlb files have an inode too, and no file that anybody could restore from.
        let unnamed = ["/memfd:", "/anon_hugepage", "/dev/zero", "/SYSV"];
        if self.inode == 0 || unnamed.iter().any(|prefix| self.path.starts_with(prefix)) {
            return Some("not mapped from a file".to_owned());
        }
        None
    }
}

fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?.to_owned();
    let offset = u64::from_str_radix(fields.next()?, 16).ok()?;
    let device = fields.next()?.to_owned();
    let inode = fields.next()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_start().to_owned();
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        permissions,
        offset,
        device,
        inode,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_may_hold_anything() {
        let text = "12 (a) R (b) S 1 12 12 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 0 0 0 0 0 \
                    0 0 0 0 0 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0";
        assert_eq!(
            parse_stat(text),
            Some(Activity {
                state: b'S',
                cpu: 3
            })
        );
    }

    #[test]
    fn a_name_may_be_cut_in_the_middle_of_a_character() {
        let thread = std::thread::Builder::new().name("fourteen bytesé".to_owned());
        let looked = thread.spawn(|| {
            let (pid, tid) = (
                nix::unistd::getpid().as_raw(),
                nix::unistd::gettid().as_raw(),
            );
            let name = fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap();
            assert!(String::from_utf8(name).is_err());
            (
                status(tid).is_some(),
                activity(pid, tid).is_some(),
                start_time(tid).is_some(),
            )
        });
        assert_eq!(looked.unwrap().join().unwrap(), (true, true, true));
    }

    #[test]
    fn who_has_no_memory_shares_none() {
        let own = nix::unistd::getpid().as_raw();
        assert!(share_memory(own, own));
        // Of the kernel (its first thread, kthreadd).
        assert!(!share_memory(2, 2));
        assert!(!share_memory(own, 2));
    }

    #[test]
    fn a_system_call_is_read() {
        let call = |number, first| Some(SystemCall { number, first });
        let clone = "56 0x1200011 0x0 0x0 0x7f10 0x0 0x7f10 0x7ffd 0x7f11\n";
        assert_eq!(parse_syscall(clone), call(56, 0x120_0011));
        assert_eq!(parse_syscall("-1 0x7ffd 0x7f11\n"), call(-1, 0));
        assert_eq!(parse_syscall("running\n"), None);
    }

    #[test]
    fn status_is_read() {
        let text = "Name:\tx\nState:\tS (sleeping)\nTgid:\t7\nPid:\t8\nTracerPid:\t9\n\
                    NStgid:\t7\t1\nSigPnd:\t0000000000000000\nSigBlk:\t0000000000000010\n\
                    SigIgn:\t0000000000001000\nSigCgt:\t0000000000000400\n";
        let status = parse_status(text).unwrap();
        assert_eq!((status.tgid, status.tracer, status.state), (7, 9, b'S'));
        assert_eq!(status.blocked & TRAP_BIT, TRAP_BIT);
        assert_eq!((status.ignored, status.caught), (0x1000, 0x400));
        assert!(status.is_first);
    }

    #[test]
    fn a_backing_is_a_byte_of_a_file() {
        let mappings = |text: &str| Mappings {
            lines: text.lines().filter_map(parse_mapping).collect(),
        };
        let before = mappings(
            "1000-2000 r-xp 00000000 08:01 42 /a\n\
             2000-4000 r-xp 00003000 08:01 43 /b\n\
             5000-6000 r-xs 00000000 08:01 44 /c\n\
             6000-7000 rwxp 00000000 00:00 0",
        );
        let backing = before.backing(0x2123).unwrap();
        assert_eq!((backing.inode, backing.offset), (43, 0x3123));
        for address in [0xfff, 0x4000, 0x5000, 0x6000, 0x7000] {
            assert_eq!(before.backing(address), None, "{address:#x}");
        }
        // The same byte, be the mapping split or its protection another.
        let split = mappings("2100-4000 rwxp 00003100 08:01 43 /b");
        assert_eq!(split.backing(0x2123), Some(backing.clone()));
        let other = mappings("2000-4000 r-xp 00004000 08:01 43 /b");
        assert_ne!(other.backing(0x2123), Some(backing));
    }

    #[test]
    fn only_private_file_text_may_be_planted() {
        let objection = |line: &str| parse_mapping(line).unwrap().objection();
        assert_eq!(
            objection("1000-2000 r-xp 00000000 08:01 42    /usr/bin/a b"),
            None
        );
        assert!(objection("1000-2000 r-xs 00000000 08:01 42    /tmp/x").is_some());
        assert!(objection("1000-2000 rwxp 00000000 08:01 42    /tmp/x").is_some());
        assert!(objection("1000-2000 r--p 00000000 08:01 42    /tmp/x").is_some());
        assert!(objection("1000-2000 r-xp 00000000 00:00 0").is_some());
        assert!(objection("1000-2000 r-xp 00000000 00:01 9    /memfd:jit (deleted)").is_some());
    }
}
