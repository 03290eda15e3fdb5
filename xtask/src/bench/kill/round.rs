use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lr_fixtures::{location, text_differences};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;

use crate::bench::gdb::Gdb;
use crate::local::Local;
use crate::tallied::Tallied;
use crate::{interrupt, process};

/// Words of the program's file.
const PASSES: u64 = 0;
const WRONG: u64 = 1;

/// How long a target may take to be as it was. Others use the machine too.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same of gdb's, of which nothing is expected.
const PATIENCE_WITH_GDB: Duration = Duration::from_secs(3);

/// Passes that show that a target lives.
const ENOUGH: u64 = 3;

/// The shortest time in which the moment of the kill lies; at slow rates it is that of some passes.
const WINDOW: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Victim {
    Agent,
    Tracer,
    Gdb,
}

/// What became of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It goes on, its text is its file's, nobody traces it.
    Unharmed,
    /// By a signal.
    Died,
    /// It lives, and its text is not its file's.
    TextLeft,
    /// It lives, its text is its file's, and it does not go on.
    Stuck,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) fate: Fate,
    /// Passes that yielded something else than they must.
    pub(super) wrong: u64,
    /// Bytes that the agent says it put back.
    pub(super) put_back: u64,
}

/// One target, one death.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) local: &'a Local,
    pub(super) program: &'a Path,
    pub(super) rung: &'a str,
    pub(super) rate: u32,
    /// Of its action; no other has it.
    pub(super) name: String,
}

impl Victim {
    pub(super) fn name(self) -> &'static str {
        match self {
            Victim::Agent => "agent",
            Victim::Tracer => "tracer",
            Victim::Gdb => "gdb",
        }
    }
}

impl Round<'_> {
    pub(super) fn run(&self, victim: Victim, random: &mut fastrand::Rng) -> Result<Outcome> {
        interrupt::check()?;
        let mut target = Tallied::start(self.program, &[self.rung, &self.rate.to_string()])?;
        until("the target to pass its line", || {
            Ok((target.word(PASSES)? > 0).then_some(()))
        })?;
        let line = location("survivor.c", self.rung);
        match victim {
            Victim::Agent | Victim::Tracer => {
                let pid = self.attach(&target, &line, victim)?;
                self.kill(pid, random)?;
                let mut outcome = follow(&mut target, PATIENCE)?;
                if victim == Victim::Tracer && outcome.fate == Fate::Unharmed {
                    outcome.put_back =
                        until("the agent to say what it put back", || self.put_back())?;
                }
                Ok(outcome)
            }
            Victim::Gdb => {
                let dprintf = format!(r#"dprintf {line},"hit\n""#);
                let gdb = Gdb::start(target.pid(), &[&dprintf, "continue"], "hit")?;
                until("gdb to print", || Ok((gdb.lines() > 0).then_some(())))?;
                self.kill(Pid::from_raw(gdb.pid().cast_signed()), random)?;
                drop(gdb);
                follow(&mut target, PATIENCE_WITH_GDB)
            }
        }
    }

    /// Plants, and finds who is to die.
    fn attach(&self, target: &Tallied, line: &str, victim: Victim) -> Result<Pid> {
        let pid = target.pid();
        let mut attach = self.local.lr();
        attach.args(["attach", &pid.to_string(), "--background"]);
        attach.args(["--name", &self.name, "--ignore-quota"]);
        interrupt::succeed(attach.args(["--counter", line]))?;
        match victim {
            Victim::Agent => self.local.agent_on(pid),
            Victim::Tracer | Victim::Gdb => process::tracer_of(pid).context("nobody traces it"),
        }
    }

    /// As soon as the agent has noticed that its tracer has died.
    fn put_back(&self) -> Result<Option<u64>> {
        for action in self.local.actions()? {
            if action["name"] == self.name.as_str() {
                return Ok(bytes_put_back(&action["statuses"][0]["error"]));
            }
        }
        Ok(None)
    }

    /// At some moment.
    fn kill(&self, victim: Pid, random: &mut fastrand::Rng) -> Result<()> {
        let window = WINDOW.max(Duration::from_secs(2) / self.rate);
        interrupt::sleep(window.mul_f64(random.f64()))?;
        // Sleeping ends on ticks of a clock, and so do those who pace themselves by it.
        let moment = Instant::now() + Duration::from_micros(random.u64(..200));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        signal::kill(victim, Signal::SIGKILL).with_context(|| format!("killing {victim}"))
    }
}

/// Watches what becomes of a target that has just lost what was attached to it.
fn follow(target: &mut Tallied, patience: Duration) -> Result<Outcome> {
    let deadline = Instant::now() + patience;
    let mut lived_since = None;
    loop {
        interrupt::check()?;
        let wrong = target.word(WRONG)?;
        let passes = target.word(PASSES)?;
        let fate = if let Some(status) = target.ended()? {
            if status.signal().is_none() {
                bail!("the target ended with {status}");
            }
            Some(Fate::Died)
        } else if lived_since.is_some_and(|since| passes >= since + ENOUGH) {
            Some(Fate::Unharmed)
        } else if Instant::now() > deadline {
            Some(match lived_since {
                Some(_) => Fate::Stuck,
                None => Fate::TextLeft,
            })
        } else {
            None
        };
        if let Some(fate) = fate {
            // The word was read before.
            let wrong = wrong.max(target.word(WRONG)?);
            return Ok(Outcome {
                fate,
                wrong,
                put_back: 0,
            });
        }
        // A process that is just ending has no text to compare.
        if lived_since.is_none()
            && process::tracer_of(target.pid()).is_none()
            && text_differences(target.pid()).is_ok_and(|differences| differences.is_empty())
        {
            lived_since = Some(passes);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Of the agent's message.
fn bytes_put_back(error: &Value) -> Option<u64> {
    if error["code"] != "tracer_died" {
        return None;
    }
    let message = error["message"].as_str()?;
    let rest = message.split_once("the agent put ").map(|(_, rest)| rest);
    Some(
        rest.and_then(|rest| rest.split(' ').next()?.parse().ok())
            .unwrap_or(0),
    )
}

fn until<T>(what: &str, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        interrupt::check()?;
        if let Some(answer) = poll()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited a minute for {what}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
