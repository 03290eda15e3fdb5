use std::os::unix::fs::MetadataExt;

use lr_protocol::{End, EndReason};

use crate::clock::now_micros;
use crate::host::{FactsError, ProcessFacts, living_thread, read_stat};

/// The process that everything here is about, as it was when we attached.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) pid: u32,
    start_ticks: u64,
    program: Option<Program>,
}

/// What is other once the process has begun to run a program, be it the same file again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Program {
    device: u64,
    inode: u64,
    /// Each program's stack begins at a random address.
    start_stack: u64,
}

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
            program: Program::of(facts.pid),
        }
    }

    /// For the time in which no tracer watches it.
    pub(crate) fn vitals(&self) -> Vitals {
        match read_stat(self.pid) {
            Err(FactsError::NoSuchProcess(_)) => Vitals::Gone,
            Ok(stat) if stat.is_zombie() || stat.start_ticks != self.start_ticks => Vitals::Gone,
            // While it execs or exits the link cannot be read; the next look will tell.
            Ok(_) => match Program::of(self.pid) {
                Some(now) if self.program.is_some_and(|then| then != now) => Vitals::Execed,
                _ => Vitals::Alive,
            },
            Err(FactsError::Unreadable { .. }) => Vitals::Alive,
        }
    }

    /// How it has ended, as far as that can be seen from outside.
    pub(crate) fn end(&self) -> Option<End> {
        let pid = self.pid;
        let (reason, message) = match self.vitals() {
            Vitals::Alive => return None,
            Vitals::Execed => (
                EndReason::Execed,
                format!("process {pid} runs another program now"),
            ),
            Vitals::Gone => (EndReason::Exited, format!("process {pid} is gone")),
        };
        Some(End {
            ts: now_micros(),
            reason,
            message,
            restored: 0,
        })
    }
}

impl Program {
    fn of(pid: u32) -> Option<Program> {
        let living = living_thread(pid);
        let stat = read_stat(living).ok()?;
        let metadata = std::fs::metadata(format!("/proc/{living}/exe")).ok()?;
        Some(Program {
            device: metadata.dev(),
            inode: metadata.ino(),
            start_stack: stat.start_stack,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    #[test]
    fn exec_and_exit_are_seen() {
        let mut child = Command::new("sh")
            .args(["-c", "echo ready; read line; exec sh -c 'exec cat'"])
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
