use lr_dwarf::CoreSignal;
use lr_protocol::SnapshotSignal;
use nix::sys::signal::Signal;

/// A signal of a core, with its names.
pub(crate) fn of(signal: &CoreSignal) -> SnapshotSignal {
    let known = Signal::try_from(signal.number).map(Signal::as_str);
    let code_name = signal.code.map(|code| code_name(signal.number, code));
    SnapshotSignal {
        number: signal.number,
        name: known.map_or_else(|_| format!("signal {}", signal.number), str::to_owned),
        code: signal.code,
        code_name: code_name.unwrap_or_default().to_owned(),
        address: signal.address.map(|address| format!("{address:#x}")),
        sender: signal.sender,
    }
}

/// The names of sigaction(2), "The si_code field".
fn code_name(number: i32, code: i32) -> &'static str {
    let general = match code {
        0 => "SI_USER",
        0x80 => "SI_KERNEL",
        -1 => "SI_QUEUE",
        -2 => "SI_TIMER",
        -3 => "SI_MESGQ",
        -4 => "SI_ASYNCIO",
        -5 => "SI_SIGIO",
        -6 => "SI_TKILL",
        _ => "",
    };
    if !general.is_empty() {
        return general;
    }
    let names: &[&str] = match Signal::try_from(number) {
        Ok(Signal::SIGILL) => &[
            "ILL_ILLOPC",
            "ILL_ILLOPN",
            "ILL_ILLADR",
            "ILL_ILLTRP",
            "ILL_PRVOPC",
            "ILL_PRVREG",
            "ILL_COPROC",
            "ILL_BADSTK",
        ],
        Ok(Signal::SIGFPE) => &[
            "FPE_INTDIV",
            "FPE_INTOVF",
            "FPE_FLTDIV",
            "FPE_FLTOVF",
            "FPE_FLTUND",
            "FPE_FLTRES",
            "FPE_FLTINV",
            "FPE_FLTSUB",
        ],
        Ok(Signal::SIGSEGV) => &["SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"],
        Ok(Signal::SIGBUS) => &[
            "BUS_ADRALN",
            "BUS_ADRERR",
            "BUS_OBJERR",
            "BUS_MCEERR_AR",
            "BUS_MCEERR_AO",
        ],
        Ok(Signal::SIGTRAP) => &["TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT"],
        Ok(Signal::SIGSYS) => &["SYS_SECCOMP"],
        _ => &[],
    };
    let index = code
        .checked_sub(1)
        .and_then(|index| usize::try_from(index).ok());
    index
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_manual() {
        let signal = |number, code| {
            let told = of(&CoreSignal {
                number,
                code: Some(code),
                address: None,
                sender: None,
            });
            (told.name, told.code_name)
        };
        let check = |number, code, name: &str, code_name: &str| {
            assert_eq!(
                signal(number, code),
                (name.to_owned(), code_name.to_owned())
            );
        };
        check(11, 1, "SIGSEGV", "SEGV_MAPERR");
        check(11, 0x80, "SIGSEGV", "SI_KERNEL");
        check(6, -6, "SIGABRT", "SI_TKILL");
        check(8, 1, "SIGFPE", "FPE_INTDIV");
        check(11, i32::MIN, "SIGSEGV", "");
        check(40, 99, "signal 40", "");
    }
}
