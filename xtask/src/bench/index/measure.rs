use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt;

/// What a program took to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) time: Duration,
    /// The most memory that was not the mapped file, in bytes.
    pub(super) memory: u64,
}

/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(2);

/// Runs a program to its end; its output has to contain `bound`, which says that it has found
/// what it was asked for.
pub(super) fn measure(command: &mut Command, bound: &str) -> Result<Taken> {
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    let pid = child.id();
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut text).map(|_| text)
    });
    let mut memory = 0;
    let ended = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupt::check().is_err() {
            interrupt::end(&mut child);
            interrupt::check()?;
        }
        memory = memory.max(anonymous(pid).unwrap_or(0));
        std::thread::sleep(INTERVAL);
    };
    let time = begin.elapsed();
    let text = reader.join().expect("the reader does not panic")?;
    if !text.contains(bound) {
        bail!("{command:?} ended with {ended} and did not say {bound:?}:\n{text}");
    }
    Ok(Taken { time, memory })
}

/// `RssAnon` of proc_pid_status(5), in bytes.
fn anonymous(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
