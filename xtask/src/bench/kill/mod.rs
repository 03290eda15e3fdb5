//! What becomes of a program when what is attached to it is killed.

mod round;

use std::path::Path;

use anyhow::{Result, bail};
use lr_fixtures::{Fixture, location};

use self::round::{Fate, Outcome, Round, Victim};
use crate::bench::hit;
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{interrupt, packages};

/// How often a second the line is passed.
const RATES: [u32; 3] = [10, 1_000, 50_000];

/// gdb takes half a second to attach: it has one round where we have four.
const ROUNDS_OF_GDB: u32 = 4;

/// Rounds of one victim at one rate.
#[derive(Debug)]
struct Row {
    victim: Victim,
    rate: u32,
    /// By how the thread goes on from the line, as in [`hit::RUNGS`].
    outcomes: [Vec<Outcome>; hit::RUNGS.len()],
}

/// Kills at random moments, and prints what became of the targets. Fails if the death of an agent
/// harms one, or if one has a wrong value whoever of us died.
pub(crate) fn kill(rounds: u32) -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("survivor.c").opt('2'))?;
    let local = Local::new(programs)?;
    for rung in hit::RUNGS {
        hit::goes_on_by(&local, &program, &location("survivor.c", rung), rung)?;
    }
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    println!("killed at random moments (seed {seed}); targets that lived on unharmed, of all:\n");
    print!("{:<8} {:>9} {:>14}", "killed", "passes/s", "unharmed");
    for rung in hit::RUNGS {
        print!(" {rung:>9}");
    }
    println!(
        " {:>6} {:>6} {:>6} {:>6} {:>9}",
        "died", "text", "stuck", "wrong", "put back"
    );
    let mut failures = Vec::new();
    for victim in [Victim::Agent, Victim::Tracer, Victim::Gdb] {
        for rate in RATES {
            let rounds = match victim {
                Victim::Gdb => rounds.div_ceil(ROUNDS_OF_GDB),
                Victim::Agent | Victim::Tracer => rounds,
            };
            let row = Row::run(&local, &program, victim, rate, rounds, &mut random)?;
            row.print();
            row.judge(&mut failures);
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => bail!("{}", failures.join("\n")),
    }
}

impl Row {
    fn run(
        local: &Local,
        program: &Path,
        victim: Victim,
        rate: u32,
        rounds: u32,
        random: &mut fastrand::Rng,
    ) -> Result<Row> {
        let mut row = Row {
            victim,
            rate,
            outcomes: Default::default(),
        };
        for number in 0..rounds as usize {
            let index = number % hit::RUNGS.len();
            let round = Round {
                local,
                program,
                rung: hit::RUNGS[index],
                rate,
                name: format!("{}-{rate}-{number}", victim.name()),
            };
            row.outcomes[index].push(round.run(victim, random)?);
        }
        Ok(row)
    }

    fn all(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().flatten()
    }

    fn count(&self, fate: Fate) -> usize {
        self.all().filter(|outcome| outcome.fate == fate).count()
    }

    fn wrong(&self) -> usize {
        self.all().filter(|outcome| outcome.wrong > 0).count()
    }

    fn print(&self) {
        let of = |unharmed: usize, all: usize| format!("{unharmed}/{all}");
        print!(
            "{:<8} {:>9} {:>14}",
            self.victim.name(),
            self.rate,
            of(self.count(Fate::Unharmed), self.all().count())
        );
        for outcomes in &self.outcomes {
            let unharmed = outcomes
                .iter()
                .filter(|outcome| outcome.fate == Fate::Unharmed);
            print!(" {:>9}", of(unharmed.count(), outcomes.len()));
        }
        let put_back = match self.victim {
            Victim::Tracer => {
                let bytes: u64 = self.all().map(|outcome| outcome.put_back).sum();
                bytes.to_string()
            }
            Victim::Agent | Victim::Gdb => String::new(),
        };
        println!(
            " {:>6} {:>6} {:>6} {:>6} {put_back:>9}",
            self.count(Fate::Died),
            self.count(Fate::TextLeft),
            self.count(Fate::Stuck),
            self.wrong()
        );
    }

    fn judge(&self, failures: &mut Vec<String>) {
        let what = format!(
            "{} killed at {} passes a second",
            self.victim.name(),
            self.rate
        );
        let harmed = self.all().count() - self.count(Fate::Unharmed);
        let left = self.count(Fate::TextLeft) + self.count(Fate::Stuck);
        match self.victim {
            Victim::Agent if harmed > 0 => failures.push(format!("{what}: {harmed} harmed")),
            Victim::Tracer if left > 0 => {
                failures.push(format!("{what}: {left} with bytes of ours, or stuck"));
            }
            _ => {}
        }
        if self.victim != Victim::Gdb && self.wrong() > 0 {
            failures.push(format!("{what}: {} with a wrong value", self.wrong()));
        }
    }
}
