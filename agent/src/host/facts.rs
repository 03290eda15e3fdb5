use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::time::{ClockId, clock_gettime};

use super::cgroup::container_id;
use super::elf_ident::ElfIdent;
use super::id::process_id_of;
use super::living::living_thread;
use super::signals::TrapSignal;
use super::stat::Stat;
use super::status::Status;

/// One process as `/proc` shows it at one moment. Reading it touches nothing in the process.
#[derive(Clone, Debug)]
pub struct ProcessFacts {
    pub pid: u32,
    pub comm: String,
    /// Where `/proc/pid/exe` leads, with ` (deleted)` cut off; `None` without the right to look,
    /// and for kernel threads.
    pub executable: Option<PathBuf>,
    /// The executable's; `None` as above, or where it is no ELF file.
    pub elf: Option<ElfIdent>,
    /// The effective one.
    pub uid: u32,
    pub start_ticks: u64,
    /// Microseconds since the Unix epoch, exact to a clock tick.
    pub start_time: i64,
    pub zombie: bool,
    pub kernel_thread: bool,
    /// The process that it is a thread of, where that is another one.
    pub thread_of: Option<u32>,
    /// Who traces it.
    pub tracer: Option<TracedBy>,
    /// SIGTRAP as the main thread has it, and blocked if any thread blocks it.
    pub sigtrap: TrapSignal,
    /// Whether any thread has one.
    pub shadow_stacks: bool,
    /// Empty outside a container.
    pub container: String,
    /// Whether others of the same user may look into it (`PR_SET_DUMPABLE`).
    pub dumpable: bool,
    pub status: Status,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TracedBy {
    pub pid: u32,
    /// Empty where it cannot be read.
    pub comm: String,
}

#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    #[error("no process has pid {0}")]
    NoSuchProcess(u32),
    #[error("cannot read /proc/{pid}: {source}")]
    Unreadable { pid: u32, source: io::Error },
}

impl ProcessFacts {
    pub fn read(pid: u32) -> Result<ProcessFacts, FactsError> {
        let stat = read_stat(pid)?;
        // What follows belongs to the memory, which a main thread that has ended has no more.
        let proc_pid = proc_of(living_thread(pid));
        let status = match fs::read(proc_pid.join("status")) {
            Ok(text) => Status::parse(&String::from_utf8_lossy(&text)),
            Err(error) => return Err(unreadable(pid, error)),
        };
        let cgroup = fs::read(proc_pid.join("cgroup")).unwrap_or_default();
        let (executable, elf) = executable_of(&proc_pid);
        let threads = threads_of(&proc_pid);
        Ok(ProcessFacts {
            pid,
            executable,
            elf,
            uid: status.uids.effective,
            start_ticks: stat.start_ticks,
            start_time: start_time(stat.start_ticks),
            zombie: stat.is_zombie(),
            kernel_thread: stat.is_kernel_thread(),
            thread_of: status.tgid.filter(|&tgid| tgid != pid),
            tracer: traced_by(status.tracer_pid),
            sigtrap: TrapSignal {
                blocked: threads.iter().any(|thread| TrapSignal::of(thread).blocked),
                ..TrapSignal::of(&status)
            },
            shadow_stacks: threads.iter().any(|thread| thread.shadow_stack),
            container: container_id(&String::from_utf8_lossy(&cgroup)),
            dumpable: is_dumpable(&proc_pid, status.uids.effective),
            comm: stat.comm,
            status,
        })
    }

    pub fn process_id(&self) -> String {
        process_id_of(self.pid, self.start_ticks)
    }
}

/// A process's or thread's name.
pub fn comm_of(pid: u32) -> Option<String> {
    let comm = fs::read(proc_of(pid).join("comm")).ok()?;
    Some(String::from_utf8_lossy(&comm).trim_end().to_owned())
}

/// The name of a thread.
pub(crate) fn thread_name(pid: u32, tid: u32) -> Option<String> {
    let comm = fs::read(proc_of(pid).join(format!("task/{tid}/comm"))).ok()?;
    let name = String::from_utf8_lossy(&comm);
    Some(name.trim_end_matches('\n').to_owned())
}

/// The pids that `/proc` lists.
pub fn process_ids() -> io::Result<Vec<u32>> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

pub(crate) fn proc_of(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

pub(crate) fn read_stat(pid: u32) -> Result<Stat, FactsError> {
    let text = fs::read(proc_of(pid).join("stat")).map_err(|error| unreadable(pid, error))?;
    Stat::parse(&String::from_utf8_lossy(&text)).map_err(|error| FactsError::Unreadable {
        pid,
        source: io::Error::other(error),
    })
}

fn unreadable(pid: u32, source: io::Error) -> FactsError {
    // A process that ends while its file is open reads as ESRCH.
    if source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(libc::ESRCH) {
        FactsError::NoSuchProcess(pid)
    } else {
        FactsError::Unreadable { pid, source }
    }
}

fn executable_of(proc_pid: &Path) -> (Option<PathBuf>, Option<ElfIdent>) {
    let exe = proc_pid.join("exe");
    let path = fs::read_link(&exe).ok().map(without_deleted);
    let elf = File::open(&exe)
        .ok()
        .and_then(|file| ElfIdent::read(&file).ok().flatten());
    (path, elf)
}

fn without_deleted(path: PathBuf) -> PathBuf {
    match path
        .to_str()
        .and_then(|text| text.strip_suffix(" (deleted)"))
    {
        Some(text) => PathBuf::from(text),
        None => path,
    }
}

fn traced_by(pid: u32) -> Option<TracedBy> {
    (pid != 0).then(|| TracedBy {
        pid,
        comm: comm_of(pid).unwrap_or_default(),
    })
}

/// Of each thread that can be read.
fn threads_of(proc_pid: &Path) -> Vec<Status> {
    let Ok(threads) = fs::read_dir(proc_pid.join("task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read(thread.path().join("status")).ok())
        .map(|text| Status::parse(&String::from_utf8_lossy(&text)))
        .collect()
}

/// Who traces a process, or any thread of it; 0 where nobody does. `None` if there is no such process.
pub fn tracer_of(pid: u32) -> Option<u32> {
    let threads = threads_of(&proc_of(pid));
    let tracer = threads.iter().map(|thread| thread.tracer_pid);
    (!threads.is_empty()).then(|| tracer.max().unwrap_or(0))
}

/// The kernel gives the files of a process that is not dumpable to root (proc(5)).
fn is_dumpable(proc_pid: &Path, uid: u32) -> bool {
    fs::metadata(proc_pid.join("status")).is_ok_and(|metadata| metadata.uid() == uid)
}

/// The ticks count from boot on the clock that goes on while the machine sleeps.
fn start_time(start_ticks: u64) -> i64 {
    const MICROS: i64 = 1_000_000;
    let (Ok(now), Ok(since_boot)) = (
        clock_gettime(ClockId::CLOCK_REALTIME),
        clock_gettime(ClockId::CLOCK_BOOTTIME),
    ) else {
        return 0;
    };
    let boot_micros = (now.tv_sec() - since_boot.tv_sec()) * MICROS
        + (now.tv_nsec() - since_boot.tv_nsec()) / 1000;
    let ticks_per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .filter(|&ticks| ticks > 0)
        .unwrap_or(100);
    let tick = MICROS / ticks_per_second;
    let started = i64::try_from(start_ticks)
        .unwrap_or(i64::MAX)
        .saturating_mul(tick)
        .saturating_add(boot_micros);
    // Two readings of two clocks differ by microseconds; the start is known to a tick only.
    started - started.rem_euclid(tick)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_what_it_is() {
        let facts = ProcessFacts::read(std::process::id()).unwrap();
        assert_eq!(facts.executable, std::env::current_exe().ok());
        assert!(facts.elf.unwrap().is_x86_64());
        assert!(!facts.zombie && !facts.kernel_thread && facts.dumpable);
        assert_eq!(facts.thread_of, None);
        assert_eq!(facts.uid, nix::unistd::geteuid().as_raw());
        let now = clock_gettime(ClockId::CLOCK_REALTIME).unwrap().tv_sec() * 1_000_000;
        assert!((now - 3_600_000_000..=now + 1_000_000).contains(&facts.start_time));
        assert!(process_ids().unwrap().contains(&facts.pid));
    }

    #[test]
    fn a_child_that_nobody_collected_is_a_zombie() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        lr_fixtures::wait_until("the child to end", || {
            let facts = ProcessFacts::read(child.id()).unwrap();
            facts.zombie.then_some(())
        });
        child.wait().unwrap();
        assert!(matches!(
            ProcessFacts::read(child.id()),
            Err(FactsError::NoSuchProcess(_))
        ));
    }

    #[test]
    fn a_thread_names_its_process() {
        let tid = std::thread::spawn(|| {
            let tid = u32::try_from(nix::unistd::gettid().as_raw()).unwrap();
            ProcessFacts::read(tid).unwrap().thread_of
        })
        .join()
        .unwrap();
        assert_eq!(tid, Some(std::process::id()));
    }
}
