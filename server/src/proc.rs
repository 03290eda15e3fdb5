use std::path::PathBuf;

/// The start time of a process of this host in clock ticks since boot (proc(5), stat field 22), or
/// `None` if there is no such process, or none but its zombie.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name in parentheses may be any bytes, spaces and parentheses too.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    // Field 3 was the state; 22 is eighteen further behind the next one.
    fields.nth(18)?.parse().ok()
}

/// Threads of a process that are asked where they run, at most: each costs some microseconds.
const MOST_THREADS: usize = 1024;

/// The CPUs on which threads of a process run, or wait to.
pub(crate) fn busy_cpus(pid: u32) -> Vec<usize> {
    let mut busy = Vec::new();
    for task in tasks(&pid.to_string()).take(MOST_THREADS) {
        if let Ok(stat) = std::fs::read(task.join("stat"))
            && let Some(cpu) = running_on(&String::from_utf8_lossy(&stat))
            && !busy.contains(&cpu)
        {
            busy.push(cpu);
        }
    }
    busy
}

fn running_on(stat: &str) -> Option<usize> {
    let after_name = stat.get(stat.rfind(')')? + 1..)?;
    let mut fields = after_name.split_ascii_whitespace();
    if fields.next()? != "R" {
        return None;
    }
    // Field 3 was the state; the processor is field 39.
    fields.nth(35)?.parse().ok()
}

/// For how long threads of ours have been waiting for a CPU. Less when some have ended.
pub(crate) fn waited_ns() -> u64 {
    let mut waited = 0;
    for task in tasks("self") {
        if let Ok(times) = std::fs::read_to_string(task.join("schedstat")) {
            // What it has run, what it has waited, how often.
            let second = times.split_ascii_whitespace().nth(1);
            waited += second.and_then(|word| word.parse().ok()).unwrap_or(0);
        }
    }
    waited
}

fn tasks(process: &str) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{process}/task"));
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_time_and_pid_zero_has_none() {
        assert!(start_time(std::process::id()).is_some());
        assert_eq!(start_time(0), None);
    }

    #[test]
    fn a_thread_that_runs_is_on_a_cpu() {
        let running = "7 (a) R) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0 0 0 0 0 0 \
                       0 0 0 17 3 0 0 0";
        assert_eq!(running_on(running), Some(3));
        assert_eq!(running_on(&running.replace(") R 1", ") S 1")), None);
        assert_eq!(running_on("7 (a"), None);
        assert!(!busy_cpus(std::process::id()).is_empty());
        assert!(waited_ns() > 0);
    }

    #[test]
    fn a_name_may_be_cut_in_the_middle_of_a_character() {
        let thread = std::thread::Builder::new().name("fourteen bytesé".to_owned());
        let looked = thread.spawn(|| {
            let tid = nix::unistd::gettid().as_raw();
            start_time(u32::try_from(tid).unwrap())
        });
        assert!(looked.unwrap().join().unwrap().is_some());
    }
}
