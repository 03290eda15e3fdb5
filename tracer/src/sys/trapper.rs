//! A child that runs into a breakpoint of its own again and again, and notes how long each kept it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::SharedMemory;

/// Traced by the thread that made it, and killed with it.
pub(crate) struct Trapper {
    pid: i32,
    kept: SharedMemory,
}

impl Trapper {
    /// Bound to `cpu`; it ends after `traps` of them.
    pub(crate) fn spawn(cpu: usize, traps: usize) -> io::Result<Trapper> {
        let kept = SharedMemory::create(traps * 8)?;
        // SAFETY: the child of a process with other threads may call what is async-signal-safe
        // (signal-safety(7)), which the functions that it calls are, and never returns.
        let (parent, pid) = unsafe { (libc::getpid(), libc::fork()) };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => run(parent, cpu, kept.words()),
            _ => Ok(Trapper { pid, kept }),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Nanoseconds between the instruction before each trap and the one behind it; 0 for those that
    /// have not been.
    pub(crate) fn kept_ns(&self) -> impl Iterator<Item = u64> {
        self.kept
            .words()
            .iter()
            .map(|word| word.load(Ordering::Acquire))
    }
}

impl Drop for Trapper {
    fn drop(&mut self) {
        // SAFETY: our own child, which is not reaped before.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL);
        }
    }
}

fn run(parent: i32, cpu: usize, kept: &[AtomicU64]) -> ! {
    // SAFETY: plain system calls on numbers and on structures of this frame.
    unsafe {
        // That the parent has gone is noticed by what it had open.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // It may have gone before that: then whoever adopts us would be our tracer, and never know.
        if libc::getppid() != parent {
            libc::_exit(1);
        }
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
        if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) < 0 {
            libc::_exit(1);
        }
    }
    for word in kept {
        let before = now_ns();
        // SAFETY: the tracer takes the signal and continues behind the instruction.
        unsafe { core::arch::asm!("int3", options(nomem, nostack)) };
        word.store(now_ns().wrapping_sub(before), Ordering::Release);
    }
    // SAFETY: ends the child and nothing else.
    unsafe { libc::_exit(0) }
}

/// Without the error handling of the standard library, which may allocate.
fn now_ns() -> u64 {
    // SAFETY: the kernel fills the structure; all-zero is valid for it.
    unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
        now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
    }
}
