use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lr_fixtures::PATIENCE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A command that runs, with its output as it comes.
#[derive(Debug)]
pub(crate) struct Running {
    words: String,
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

/// How a command ended, and what of its output nobody had read.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) words: String,
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let words = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{words}: {error}"));
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut errors = child.stderr.take().expect("stderr is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            // Up to a broken read, what came is what there is.
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Running {
            words,
            child,
            lines,
            stderr: Some(stderr),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard output; `None` at its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let errors = self.give_up();
                panic!("{}: no line of output; its errors: {errors}", self.words)
            }
        }
    }

    /// Whether nothing is printed for a while. For absences only: it waits the whole of it.
    pub(crate) fn is_quiet_for(&mut self, time: Duration) -> bool {
        matches!(
            self.lines.recv_timeout(time),
            Err(RecvTimeoutError::Timeout)
        )
    }

    /// The next line as JSON.
    pub(crate) fn json(&mut self) -> Value {
        let Some(line) = self.line() else {
            let errors = self.give_up();
            panic!("{}: the output ended; its errors: {errors}", self.words)
        };
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{}: {error} in {line:?}", self.words))
    }

    /// Reads JSON lines up to one for which `wanted` holds, and returns it. Others may come without
    /// end: they are read for no longer than silence is borne.
    pub(crate) fn json_until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.json();
            if wanted(&value) {
                return value;
            }
            if Instant::now() > deadline {
                let errors = self.give_up();
                panic!(
                    "{}: not what was waited for, last {value}; its errors: {errors}",
                    self.words
                );
            }
        }
    }

    /// The first of the JSON lines that come within this time for which `wanted` holds.
    pub(crate) fn json_within(
        &mut self,
        time: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).ok()?;
            let value: Value = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("{}: {error} in {line:?}", self.words));
            if wanted(&value) {
                return Some(value);
            }
        }
    }

    /// Reads up to the state line that says that an action is planted. On a busy machine it may
    /// have been hit, and even paused, by the time its state is told for the first time.
    pub(crate) fn until_bound(&mut self) -> Value {
        let words = self.words.clone();
        self.json_until(|value| {
            assert_ne!(value["state"], "error", "{words}: {value}");
            let state = value["state"].as_str().unwrap_or_default();
            value["type"] == "state" && ["bound", "hit", "paused"].contains(&state)
        })
    }

    /// The same of so many actions, which may each tell more than one state.
    pub(crate) fn until_all_bound(&mut self, count: usize) {
        let mut bound = BTreeSet::new();
        while bound.len() < count {
            let state = self.until_bound();
            bound.insert(state["action"].as_str().unwrap().to_owned());
        }
    }

    /// The next `count` logs; other lines are passed over.
    pub(crate) fn logs(&mut self, count: usize) -> Vec<Value> {
        let log = |value: &Value| value["type"] == "log";
        (0..count).map(|_| self.json_until(log)).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().expect("pids are small"));
        kill(pid, signal).expect("it is our child");
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                let stderr = self.stderr.take().expect("read once");
                let stdout: Vec<String> = self.lines.iter().collect();
                return Ended {
                    words: self.words.clone(),
                    status: status.code(),
                    stdout: stdout.join("\n"),
                    stderr: stderr.join().expect("the reader does not panic"),
                };
            }
            if Instant::now() > deadline {
                let errors = self.give_up();
                let output: Vec<String> = self.lines.try_iter().collect();
                panic!(
                    "{} did not end; its output: {}; its errors: {errors}",
                    self.words,
                    output.join("\n")
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ctrl-C, and waits for the end.
    pub(crate) fn interrupted(self) -> Ended {
        self.signal(Signal::SIGINT);
        self.ended()
    }

    fn give_up(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr
            .take()
            .and_then(|stderr| stderr.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Asserts exit status 0 and returns what it printed.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        self.status(0).stdout
    }

    #[track_caller]
    pub(crate) fn status(self, expected: i32) -> Ended {
        assert_eq!(
            self.status,
            Some(expected),
            "{}\nits output: {}\nits errors: {}",
            self.words,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that it failed with this exit status and `error[code]`, and returns the message.
    #[track_caller]
    pub(crate) fn refused(self, status: i32, code: &str) -> String {
        let ended = self.status(status);
        assert!(
            ended.stderr.contains(&format!("error[{code}]")),
            "{}: no error[{code}] in: {}",
            ended.words,
            ended.stderr
        );
        ended.stderr
    }

    /// What it printed as JSON lines.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
            })
            .collect()
    }
}
