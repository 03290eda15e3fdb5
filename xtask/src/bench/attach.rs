use std::time::Duration;

use anyhow::{Context, Result};
use lr_fixtures::{Fixture, Target, location};

use crate::bench::gdb;
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{interrupt, packages};

const ROUNDS: usize = 5;

/// Prints the longest time that a thread which never sleeps was kept from running, while a tool
/// attaches, plants, removes and detaches.
pub(crate) fn attach() -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("gap.c").opt('2'))?;
    let line = location("gap.c", "tick");
    let local = Local::new(programs)?;
    // Starts the server, which is no part of attaching.
    interrupt::succeed(local.lr().args(["server", "start"]))?;
    let mut target = Target::spawn(&program, [""; 0]);
    let pid = target.pid().to_string();

    let nothing = measure(&mut target, || {
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    let lr = measure(&mut target, || {
        interrupt::succeed(
            local
                .lr()
                .args(["attach", &pid, "--hits", "5", "--log", &line, "n={n}"]),
        )
    })?;
    target.assert_clean();
    let commands = [format!("break {line}"), "detach".to_owned()];
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let number = target.pid();
    let gdb = measure(&mut target, || {
        interrupt::succeed(&mut gdb::command(number, &commands))
    })?;

    println!("the longest gap that a spinning thread saw, {ROUNDS} rounds, in milliseconds:\n");
    println!("{:<44} {:>10} {:>10}", "", "median", "worst");
    for (name, gaps) in [
        ("nothing, for a second", nothing),
        ("lr: attach, plant, five hits, remove, detach", lr),
        ("gdb: attach, breakpoint, detach", gdb),
    ] {
        println!(
            "{name:<44} {:>10.3} {:>10.3}",
            gaps[ROUNDS / 2],
            gaps[ROUNDS - 1]
        );
    }
    Ok(())
}

/// The longest gap of each round, in milliseconds, in order of size.
fn measure(target: &mut Target, mut act: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut gaps = Vec::new();
    for _ in 0..ROUNDS {
        interrupt::check()?;
        longest(target)?;
        act()?;
        gaps.push(longest(target)?);
    }
    gaps.sort_by(f64::total_cmp);
    Ok(gaps)
}

/// The longest gap since the last time it was asked for.
fn longest(target: &mut Target) -> Result<f64> {
    target.send("");
    let line = target.line();
    let nanoseconds: f64 = line
        .strip_prefix("gap ")
        .with_context(|| format!("unexpected: {line}"))?
        .parse()?;
    Ok(nanoseconds / 1e6)
}
