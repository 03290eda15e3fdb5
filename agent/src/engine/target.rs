use std::os::unix::fs::MetadataExt;

use crate::host::{ProcessFacts, Stat};

/// The process that everything here is about, as it was when we attached.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) pid: u32,
    start_ticks: u64,
    executable: Option<FileId>,
}

/// Device and inode.
type FileId = (u64, u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Vitals {
    Alive,
    /// It runs another program.
    Execed,
    Gone,
}

impl Target {
    pub(crate) fn new(facts: &ProcessFacts) -> Target {
        Target {
            pid: facts.pid,
            start_ticks: facts.start_ticks,
            executable: executable_of(facts.pid),
        }
    }

    /// For the time in which no tracer watches it.
    pub(crate) fn vitals(&self) -> Vitals {
        let Ok(text) = std::fs::read(format!("/proc/{}/stat", self.pid)) else {
            return Vitals::Gone;
        };
        match Stat::parse(&String::from_utf8_lossy(&text)) {
            Ok(stat) if stat.is_zombie() || stat.start_ticks != self.start_ticks => Vitals::Gone,
            // While it execs or exits the link cannot be read; the next look will tell.
            Ok(_) => match executable_of(self.pid) {
                Some(now) if self.executable.is_some_and(|then| then != now) => Vitals::Execed,
                _ => Vitals::Alive,
            },
            Err(_) => Vitals::Alive,
        }
    }
}

fn executable_of(pid: u32) -> Option<FileId> {
    let metadata = std::fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn exec_and_exit_are_seen() {
        let mut child = Command::new("sh")
            .args(["-c", "echo ready; read line; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let target = Target::new(&ProcessFacts::read(child.id()).unwrap());
        assert_eq!(target.vitals(), Vitals::Alive);

        let mut input = child.stdin.take().unwrap();
        input.write_all(b"go\nheard\n").unwrap();
        line.clear();
        // `cat` has said something, so that it is there.
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "heard\n");
        assert_eq!(target.vitals(), Vitals::Execed);

        drop(input);
        child.wait().unwrap();
        assert_eq!(target.vitals(), Vitals::Gone);
    }
}
