//! ptrace(2) requests.

use std::io;

use lr_probe::{Register, Registers};

pub(crate) const FLAG_TRAP: u64 = 1 << 8;

/// The registers of a stopped thread as the kernel gives and takes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserRegisters(libc::user_regs_struct);

impl UserRegisters {
    pub(crate) fn pc(&self) -> u64 {
        self.0.rip
    }

    pub(crate) fn set_pc(&mut self, pc: u64) {
        self.0.rip = pc;
    }

    pub(crate) fn stack_pointer(&self) -> u64 {
        self.0.rsp
    }

    pub(crate) fn flags(&self) -> u64 {
        self.0.eflags
    }

    pub(crate) fn set_flags(&mut self, flags: u64) {
        self.0.eflags = flags;
    }

    pub(crate) fn fs_base(&self) -> u64 {
        self.0.fs_base
    }

    pub(crate) fn gs_base(&self) -> u64 {
        self.0.gs_base
    }

    /// General registers and rip by DWARF number.
    pub(crate) fn general(&self) -> [u64; lr_probe::REGISTER_COUNT] {
        let r = &self.0;
        [
            r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11,
            r.r12, r.r13, r.r14, r.r15, r.rip,
        ]
    }

    pub(crate) fn set_general(&mut self, from: &Registers) {
        let get = |number: u16| from.get(Register::from_dwarf(number).expect("below seventeen"));
        let r = &mut self.0;
        (r.rax, r.rdx, r.rcx, r.rbx) = (get(0), get(1), get(2), get(3));
        (r.rsi, r.rdi, r.rbp, r.rsp) = (get(4), get(5), get(6), get(7));
        (r.r8, r.r9, r.r10, r.r11) = (get(8), get(9), get(10), get(11));
        (r.r12, r.r13, r.r14, r.r15) = (get(12), get(13), get(14), get(15));
        r.rip = get(16);
    }
}

/// What a thread is continued with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StopSignal {
    None,
    Deliver(i32),
}

/// A system call that a thread is about to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
}

/// Attaches without stopping. New threads and children are attached too, and an exec is reported.
pub(crate) fn seize(tid: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACESYSGOOD;
    // SAFETY: PTRACE_SEIZE takes numbers only.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, 0usize, libc::c_long::from(options)) })
}

pub(crate) fn continue_with(tid: i32, signal: StopSignal) -> io::Result<()> {
    resume(libc::PTRACE_CONT, tid, signal)
}

/// Until it enters or leaves a system call.
pub(crate) fn continue_to_call(tid: i32, signal: StopSignal) -> io::Result<()> {
    resume(libc::PTRACE_SYSCALL, tid, signal)
}

/// The call at whose entry a thread is stopped.
pub(crate) fn entered_call(tid: i32) -> Option<Call> {
    // SAFETY: the kernel fills at most the announced bytes; all-zero is valid for the structure,
    // whose `entry` is what it has filled where `op` says so.
    unsafe {
        let mut info: libc::ptrace_syscall_info = std::mem::zeroed();
        let room = size_of::<libc::ptrace_syscall_info>();
        let result = libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, room, &raw mut info);
        check(result).ok()?;
        (info.op == libc::PTRACE_SYSCALL_INFO_ENTRY).then(|| Call {
            number: info.u.entry.nr.cast_signed(),
            arguments: info.u.entry.args,
        })
    }
}

pub(crate) fn single_step(tid: i32) -> io::Result<()> {
    resume(libc::PTRACE_SINGLESTEP, tid, StopSignal::None)
}

fn resume(request: libc::c_uint, tid: i32, signal: StopSignal) -> io::Result<()> {
    let signal = match signal {
        StopSignal::None => 0,
        StopSignal::Deliver(signal) => signal,
    };
    // SAFETY: takes numbers only.
    check(unsafe { libc::ptrace(request, tid, 0usize, libc::c_long::from(signal)) })
}

/// Lets one stopped tracee go.
pub(crate) fn detach(tid: i32) -> io::Result<()> {
    resume(libc::PTRACE_DETACH, tid, StopSignal::None)
}

/// Stops a thread wherever it is. Not for one that may be in a system call, which would return early.
pub(crate) fn interrupt(tid: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, 0usize, 0usize) })
}

/// Leaves a thread in its group-stop, from which SIGCONT will take it.
pub(crate) fn listen(tid: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::ptrace(libc::PTRACE_LISTEN, tid, 0usize, 0usize) })
}

pub(crate) fn get_registers(tid: i32) -> io::Result<UserRegisters> {
    // SAFETY: the kernel fills a structure of exactly this type; all-zero is valid for it.
    unsafe {
        let mut registers: libc::user_regs_struct = std::mem::zeroed();
        check(libc::ptrace(
            libc::PTRACE_GETREGS,
            tid,
            0usize,
            &raw mut registers,
        ))?;
        Ok(UserRegisters(registers))
    }
}

pub(crate) fn set_registers(tid: i32, registers: &UserRegisters) -> io::Result<()> {
    // SAFETY: the kernel reads a structure of exactly this type.
    check(unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, 0usize, &raw const registers.0) })
}

/// `xmm0` to `xmm15`, low half first.
pub(crate) fn get_vectors(tid: i32) -> io::Result<[[u64; 2]; 16]> {
    let (xmm, _) = get_float_registers(tid)?;
    Ok(xmm.map(|vector| {
        let (low, high) = vector.split_at(8);
        [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("half of sixteen")))
    }))
}

/// The vector and the x87 registers, sixteen bytes of each.
pub(crate) type FloatRegisters = ([[u8; 16]; 16], [[u8; 16]; 8]);

pub(crate) fn get_float_registers(tid: i32) -> io::Result<FloatRegisters> {
    // SAFETY: the kernel fills a structure of exactly this type; all-zero is valid for it.
    let area = unsafe {
        let mut area: libc::user_fpregs_struct = std::mem::zeroed();
        check(libc::ptrace(
            libc::PTRACE_GETFPREGS,
            tid,
            0usize,
            &raw mut area,
        ))?;
        area
    };
    let mut xmm = [[0; 16]; 16];
    let mut st = [[0; 16]; 8];
    let fill = |registers: &mut [[u8; 16]], words: &[u32]| {
        for (register, words) in registers.iter_mut().zip(words.as_chunks::<4>().0) {
            for (room, word) in register.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                *room = word.to_le_bytes();
            }
        }
    };
    fill(&mut xmm, &area.xmm_space);
    fill(&mut st, &area.st_space);
    Ok((xmm, st))
}

/// The kernel's `elf.h`.
const NT_X86_XSTATE: usize = 0x202;

/// What XSAVE keeps of a thread, as much as there is room for; how many bytes that are.
pub(crate) fn get_extended(tid: i32, area: &mut [u8]) -> io::Result<usize> {
    let mut room = libc::iovec {
        iov_base: area.as_mut_ptr().cast(),
        iov_len: area.len(),
    };
    // SAFETY: the kernel writes at most the announced bytes, into a slice that is ours alone.
    check(unsafe { libc::ptrace(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, &raw mut room) })?;
    Ok(room.iov_len.min(area.len()))
}

/// Where the SIGTRAP of a stop comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TrapOrigin {
    /// An int3 was executed.
    Breakpoint,
    /// A single step has ended.
    Step,
    /// Somebody sent it, or the processor has other reasons.
    Other,
}

/// Where the SIGTRAP that a thread is stopped with comes from.
pub(crate) fn trap_origin(tid: i32) -> io::Result<TrapOrigin> {
    Ok(match signal_code(tid)? {
        libc::SI_KERNEL => TrapOrigin::Breakpoint,
        libc::TRAP_TRACE => TrapOrigin::Step,
        _ => TrapOrigin::Other,
    })
}

/// Whether the signal that a thread is stopped with was sent by nobody (sigaction(2): the codes of
/// what users send are not positive).
pub(crate) fn is_from_kernel(tid: i32) -> io::Result<bool> {
    Ok(signal_code(tid)? > 0)
}

/// `si_code` of the signal that a thread is stopped with.
fn signal_code(tid: i32) -> io::Result<i32> {
    // SAFETY: the kernel fills a siginfo; all-zero is valid for it.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        check(libc::ptrace(
            libc::PTRACE_GETSIGINFO,
            tid,
            0usize,
            &raw mut info,
        ))?;
        Ok(info.si_code)
    }
}

pub(crate) fn get_signal_mask(tid: i32) -> io::Result<u64> {
    let mut mask = 0u64;
    // SAFETY: the kernel writes the eight bytes that are announced.
    check(unsafe { libc::ptrace(libc::PTRACE_GETSIGMASK, tid, 8usize, &raw mut mask) })?;
    Ok(mask)
}

pub(crate) fn set_signal_mask(tid: i32, mask: u64) -> io::Result<()> {
    // SAFETY: the kernel reads the eight bytes that are announced.
    check(unsafe { libc::ptrace(libc::PTRACE_SETSIGMASK, tid, 8usize, &raw const mask) })
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
