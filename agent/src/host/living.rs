use std::fs;

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

fn has_not_ended(tid: u32) -> bool {
    read_stat(tid).is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X' | 'x'))
}

#[cfg(test)]
mod tests {
    use lr_fixtures::{Fixture, Target, wait_until};

    use super::*;

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
