//! Threads that sleep in the kernel: where they are, without stopping them.

use std::{fs, io};

/// Where a thread is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whereabouts {
    Asleep {
        pc: u64,
        sp: u64,
        /// How often it has been given a CPU or lost one: as long as that stays, it sleeps.
        switches: u64,
    },
    Running,
    Gone,
}

/// The threads of a process, ascending.
pub(crate) fn threads_of(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    let entries = entries.into_iter().flatten().flatten();
    let mut tids: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    tids.sort_unstable();
    tids
}

pub(crate) fn whereabouts(pid: u32, tid: u32) -> Whereabouts {
    // A thread's name may be any bytes.
    let read = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/task/{tid}/{file}"))?;
        io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (Ok(before), Ok(syscall), Ok(after)) = (read("status"), read("syscall"), read("status"))
    else {
        return Whereabouts::Gone;
    };
    match (switches(&before), parse(&syscall)) {
        (Some(switches), Some((sp, pc))) if Some(switches) == self::switches(&after) => {
            Whereabouts::Asleep { pc, sp, switches }
        }
        _ => Whereabouts::Running,
    }
}

/// The stack pointer and the program counter, which are the last words; a thread that runs has
/// none (proc(5)).
fn parse(syscall: &str) -> Option<(u64, u64)> {
    let mut words = syscall.split_whitespace().rev();
    let mut address = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (pc, sp) = (address()?, address()?);
    Some((sp, pc))
}

fn switches(status: &str) -> Option<u64> {
    let count = |name: &str| -> Option<u64> {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some(count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_sp_and_pc() {
        let asleep = "202 0x7f 0x80 0x0 0x0 0x0 0x0 0x7ffd5e00 0x7f3c1a02\n";
        assert_eq!(parse(asleep), Some((0x7ffd_5e00, 0x7f3c_1a02)));
        assert_eq!(
            parse("-1 0x7ffd5e00 0x7f3c1a02\n"),
            Some((0x7ffd_5e00, 0x7f3c_1a02))
        );
        assert_eq!(parse("running\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn switches_of_both_kinds_count() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(switches(status), Some(15));
        assert_eq!(switches(""), None);
    }

    #[test]
    fn a_name_may_be_cut_in_the_middle_of_a_character() {
        let thread = std::thread::Builder::new().name("fourteen bytesé".to_owned());
        let looked = thread.spawn(|| {
            let tid = u32::try_from(nix::unistd::gettid().as_raw()).unwrap();
            whereabouts(std::process::id(), tid)
        });
        assert!(!matches!(
            looked.unwrap().join().unwrap(),
            Whereabouts::Gone
        ));
    }

    #[test]
    fn a_thread_of_ours_that_runs_is_not_asleep() {
        let (told, hear) = std::sync::mpsc::channel();
        let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ends = is_over.clone();
        let busy = std::thread::spawn(move || {
            told.send(nix::unistd::gettid().as_raw()).unwrap();
            while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let pid = std::process::id();
        let tid = hear.recv().unwrap().cast_unsigned();
        assert!(threads_of(pid).contains(&tid));
        let runs = || (whereabouts(pid, tid) == Whereabouts::Running).then_some(());
        lr_fixtures::wait_until("a thread that runs", runs);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        busy.join().unwrap();
        assert_eq!(whereabouts(pid, u32::MAX), Whereabouts::Gone);
    }
}
