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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_time_and_pid_zero_has_none() {
        assert!(start_time(std::process::id()).is_some());
        assert_eq!(start_time(0), None);
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
