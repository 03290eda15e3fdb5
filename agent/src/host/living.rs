use std::time::Duration;
use std::{fs, thread};

use super::facts::{proc_of, read_stat};

/// A thread through which a process's memory and files can be reached. That is the main thread as
/// a rule; one that has ended while others go on has neither. `/proc/TID` serves any thread.
pub fn living_thread(pid: u32) -> u32 {
    if has_not_ended(pid) {
        return pid;
    }
    let threads = fs::read_dir(proc_of(pid).join("task"));
    let threads = threads.into_iter().flatten().flatten();
    let ids = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    ids.filter(|&tid| has_not_ended(tid)).min().unwrap_or(pid)
}

/// Whether a process is stopped by job control. A thread that is traced looks the same for the
/// moment of a hit, so that it takes several looks.
pub fn is_stopped(pid: u32) -> bool {
    const LOOKS: u32 = 5;
    const BETWEEN: Duration = Duration::from_millis(10);
    (0..LOOKS).all(|_| {
        thread::sleep(BETWEEN);
        let threads = fs::read_dir(proc_of(pid).join("task"));
        let threads = threads.into_iter().flatten().flatten();
        let ids = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
        let mut states = ids.filter_map(|tid| Some(read_stat(tid).ok()?.state));
        let first = states.next();
        first.is_some_and(is_stop) && states.all(is_stop)
    })
}

/// proc(5): stopped by a signal, or so that a tracer can see it.
fn is_stop(state: char) -> bool {
    matches!(state, 'T' | 't')
}

fn has_not_ended(tid: u32) -> bool {
    read_stat(tid).is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X' | 'x'))
}

#[cfg(test)]
mod tests {
    use lr_fixtures::{Fixture, Target, wait_until};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn a_process_that_is_stopped() {
        let target = Target::spawn(&Fixture::c("orders.c").build(), ["2"]);
        assert!(!is_stopped(target.pid()));
        let process = Pid::from_raw(target.pid().cast_signed());
        kill(process, Signal::SIGSTOP).unwrap();
        wait_until("the stop", || is_stopped(target.pid()).then_some(()));
        kill(process, Signal::SIGCONT).unwrap();
        wait_until("it to go on", || (!is_stopped(target.pid())).then_some(()));
        assert!(!is_stopped(u32::MAX));
    }

    #[test]
    fn the_main_thread_as_long_as_it_lives() {
        let own = std::process::id();
        assert_eq!(living_thread(own), own);
        assert_eq!(living_thread(u32::MAX), u32::MAX);
        let target = Target::spawn(&Fixture::c("leaderless.c").build(), [""; 0]);
        wait_until("the main thread to end", || {
            (living_thread(target.pid()) != target.pid()).then_some(())
        });
        assert!(target.threads().contains(&living_thread(target.pid())));
    }
}
