//! Seizing every thread that could execute the text, without stopping one.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::error::TracerError;
use crate::process::courtesy::Portions;
use crate::process::engine::Thread;
use crate::process::proc;
use crate::sys;

/// Passes over the thread list before we say that it does not settle. Threads born of seized ones
/// are seized by the kernel, so that each pass finds fewer.
const MAX_PASSES: usize = 1000;

/// A vfork child takes microseconds to become another program. Births wait meanwhile.
const CHILD_PATIENCE: Duration = Duration::from_millis(50);

/// How often a thread may be refused to us before we believe it.
const MAX_REFUSALS: u32 = 50;
const REFUSAL_PAUSE: Duration = Duration::from_micros(200);

/// Seizes all threads of `pid` and of every process that shares its address space.
///
/// `seized` is shared with a second thread that reaps the dead meanwhile: an exec waits for the
/// zombies of its other threads, and our PTRACE_SEIZE waits for that exec
/// (`limits/facts/execdead2.c`).
pub(crate) fn seize_all(
    pid: i32,
    seized: &Mutex<Vec<i32>>,
) -> Result<HashMap<i32, Thread>, TracerError> {
    let mut threads = HashMap::new();
    seize_process(pid, pid, &mut threads, seized)?;
    if threads.is_empty() {
        return Err(TracerError::ProcessGone {
            pid: pid.cast_unsigned(),
        });
    }
    let living = a_thread(pid, &threads);
    let mut portions = Portions::begin();
    for other in proc::processes() {
        portions.pause_if_due();
        // A vfork child in flight is not in our thread list and executes our text
        // (`limits/facts/mmshare.c`).
        if other != pid && still_shares(living, other) {
            seize_process(pid, other, &mut threads, seized)?;
        }
    }
    Ok(threads)
}

/// Whether another process shares the address space. Where our tracing would cost a program that it
/// is about to become its privilege, it is let go first.
fn still_shares(living: i32, other: i32) -> bool {
    let began = Instant::now();
    let may_trace_all = proc::may_trace_all();
    loop {
        if !proc::share_memory(living, other) {
            return false;
        }
        if may_trace_all || began.elapsed() > CHILD_PATIENCE {
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A thread through which the process's memory can be reached: a leader that has ended while
/// others go on has none.
pub(crate) fn a_thread(pid: i32, threads: &HashMap<i32, Thread>) -> i32 {
    let first = threads.keys().copied().min().unwrap_or(pid);
    if threads.contains_key(&pid) {
        pid
    } else {
        first
    }
}

fn seize_process(
    target: i32,
    pid: i32,
    threads: &mut HashMap<i32, Thread>,
    seized: &Mutex<Vec<i32>>,
) -> Result<(), TracerError> {
    let mut portions = Portions::begin();
    for _ in 0..MAX_PASSES {
        let mut found_new = false;
        for tid in proc::threads(pid) {
            portions.pause_if_due();
            if threads.contains_key(&tid) {
                continue;
            }
            if let Some(thread) = seize_thread(target, tid)? {
                found_new = true;
                threads.insert(tid, thread);
                seized.lock().expect("no panic under this lock").push(tid);
            }
        }
        if !found_new {
            return Ok(());
        }
    }
    Err(TracerError::Protocol(format!(
        "the threads of process {pid} do not settle"
    )))
}

/// `None` if there is nothing to seize: the thread is gone, dead, or ours already.
fn seize_thread(target: i32, tid: i32) -> Result<Option<Thread>, TracerError> {
    let mut last = try_to_seize(target, tid);
    // A thread that execs takes the number of its leader, which has just been refused for being dead.
    for _ in 0..MAX_REFUSALS {
        if !matches!(last, Err(TracerError::NotPermitted { .. })) {
            break;
        }
        std::thread::sleep(REFUSAL_PAUSE);
        last = try_to_seize(target, tid);
    }
    last
}

fn try_to_seize(target: i32, tid: i32) -> Result<Option<Thread>, TracerError> {
    let Err(error) = sys::seize(tid) else {
        let mask = proc::status(tid).map_or(0, |status| status.blocked);
        return Ok(Some(Thread::new(mask)));
    };
    let pid = target.cast_unsigned();
    let Some(status) = proc::status(tid) else {
        return Ok(None);
    };
    if error.raw_os_error() == Some(libc::ESRCH) || matches!(status.state, b'Z' | b'X') {
        return Ok(None);
    }
    if status.tracer == 0 {
        return Err(match error.kind() {
            io::ErrorKind::PermissionDenied => TracerError::NotPermitted { pid },
            _ => TracerError::System {
                what: "cannot seize a thread",
                source: error,
            },
        });
    }
    let tracer = proc::status(status.tracer).map_or(status.tracer, |tracer| tracer.tgid);
    if tracer.cast_unsigned() == std::process::id() {
        // Born of a thread that we had seized: the kernel attached it, and it will report.
        return Ok(None);
    }
    Err(TracerError::AlreadyTraced {
        pid,
        tracer: tracer.cast_unsigned(),
    })
}
