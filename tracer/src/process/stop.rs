//! A wait status decoded once, here.

/// Why a tracee is stopped (ptrace(2), "Stopped states").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// SIGTRAP is about to be delivered: a breakpoint, a step, or one that somebody sent.
    Trap,
    /// Another signal is about to be delivered.
    Signal(i32),
    /// Job control stopped the process with this signal.
    Group(i32),
    /// A new thread or child has begun, or a group-stop has ended.
    Event,
    /// The thread has made a new thread or child.
    Birth,
    Exec,
    /// At a system call, where that was asked for.
    Call,
}

impl Stop {
    /// From the status that waitid reports for a stopped tracee: the signal in the low byte, the
    /// ptrace event above it.
    pub(crate) fn decode(status: i32) -> Stop {
        let signal = status & 0xff;
        match status >> 8 {
            0 if signal == libc::SIGTRAP => Stop::Trap,
            // With PTRACE_O_TRACESYSGOOD.
            0 if signal == libc::SIGTRAP | 0x80 => Stop::Call,
            0 => Stop::Signal(signal),
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Stop::Group(signal),
            libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
                Stop::Birth
            }
            libc::PTRACE_EVENT_EXEC => Stop::Exec,
            _ => Stop::Event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
        assert_eq!(Stop::decode(libc::SIGTRAP), Stop::Trap);
        assert_eq!(Stop::decode(libc::SIGTRAP | 0x80), Stop::Call);
        assert_eq!(Stop::decode(libc::SIGSEGV), Stop::Signal(libc::SIGSEGV));
        assert_eq!(
            Stop::decode(libc::SIGRTMIN()),
            Stop::Signal(libc::SIGRTMIN())
        );
        let event = |event: i32, signal: i32| Stop::decode(event << 8 | signal);
        assert_eq!(
            event(libc::PTRACE_EVENT_STOP, libc::SIGSTOP),
            Stop::Group(libc::SIGSTOP)
        );
        assert_eq!(event(libc::PTRACE_EVENT_STOP, libc::SIGTRAP), Stop::Event);
        assert_eq!(event(libc::PTRACE_EVENT_EXEC, libc::SIGTRAP), Stop::Exec);
        assert_eq!(event(libc::PTRACE_EVENT_VFORK, libc::SIGTRAP), Stop::Birth);
    }
}
