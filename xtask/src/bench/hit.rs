use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lr_fixtures::{Fixture, Target, location};
use serde_json::Value;

use crate::bench::actions;
use crate::bench::gdb::Gdb;
use crate::bench::limits;
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{command, interrupt, packages};

/// How long each way is watched.
const WINDOW: Duration = Duration::from_secs(5);

/// The ways of going on from a breakpoint, dearest last: the marker of a line of `rungs.c` and of
/// `survivor.c` for each.
pub(super) const RUNGS: [&str; 3] = ["emulate", "twin", "borrow"];

/// Prints hits per second of one line in a tight loop: the stop path alone beside what ptrace
/// allows, and end to end beside gdb, with the same four values.
pub(crate) fn hit() -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("tight.c").opt('2'))?;
    let line = location("tight.c", "process");
    let local = Local::new(programs.clone())?;

    let before = limit(Cpus::One)?;
    let counter = actions::watch(&local, &program, &line, &["--counter", "LINE"])?;
    let condition = ["--counter", "LINE", "--if", "n < 0"];
    let condition = actions::watch(&local, &program, &line, &condition)?;
    let lr = lr(Local::new(programs)?, &program, &line)?;
    let gdb = gdb(&program, &line)?;
    let free = limit(Cpus::Any)?;
    // The machine may have become slower or faster meanwhile.
    let limit = f64::midpoint(before, limit(Cpus::One)?);

    println!(
        "one line of a tight C loop, {} s each; values: int, double, string, int:\n",
        WINDOW.as_secs()
    );
    let heads = ["hits/s", "µs/hit", "of the limit", "of gdb"];
    println!(
        "{:<38} {:>10} {:>8} {:>13} {:>8}",
        "", heads[0], heads[1], heads[2], heads[3]
    );
    for (name, rate) in [
        ("the limit: emulate, both on one CPU", limit),
        ("the same, left to the scheduler", free),
        ("lr, counter", counter),
        ("lr, a condition that is false", condition),
        ("lr, 4 values, end to end into DuckDB", lr.stored),
        ("gdb dprintf, 4 values", gdb),
    ] {
        let of_limit = format!("{:.2}", rate / limit);
        let of_gdb = format!("{:.1}x", rate / gdb);
        println!(
            "{name:<38} {rate:>10.0} {:>8.1} {of_limit:>13} {of_gdb:>8}",
            1e6 / rate
        );
    }
    println!("\nlr counted {:.0} hits and lost {:.0}.", lr.hits, lr.lost);
    rungs(&local)
}

/// Prints what a counter's hit costs for each way of going on from it.
fn rungs(local: &Local) -> Result<()> {
    let program = build::fixture(&Fixture::c("rungs.c").opt('2'))?;
    println!("\none line of a loop, a counter, by how its thread goes on:\n");
    println!("{:<38} {:>10} {:>8}", "", "hits/s", "µs/hit");
    for rung in RUNGS {
        let line = location("rungs.c", rung);
        goes_on_by(local, &program, &line, rung)?;
        let rate = actions::watch(local, &program, &line, &["--counter", "LINE"])?;
        println!("{rung:<38} {rate:>10.0} {:>8.1}", 1e6 / rate);
    }
    Ok(())
}

/// An error unless that is the way of going on from a line.
pub(super) fn goes_on_by(local: &Local, program: &Path, line: &str, rung: &str) -> Result<()> {
    let mut explain = local.lr();
    explain.args(["explain", "--json", "--binary"]);
    let told: Value = serde_json::from_str(&command::output(explain.arg(program).arg(line))?)?;
    let kind = &told["addresses"][0]["resume"]["kind"];
    if kind != rung {
        bail!("{line} goes on by {kind}, not by {rung}: another compiler?");
    }
    Ok(())
}

/// Where the two processes of the bare loop run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cpus {
    One,
    Any,
}

/// Hits per second that the bare loop reaches.
pub(super) fn limit(cpus: Cpus) -> Result<f64> {
    let program = limits::compile("emulate")?;
    let mut emulate = Command::new(&program);
    emulate.arg("100000");
    if cpus == Cpus::Any {
        emulate.arg("free");
    }
    command::output(&mut emulate)?
        .trim()
        .parse()
        .context("hits per second")
}

/// Hits per second with gdb's `dprintf`, as its output comes.
fn gdb(program: &Path, line: &str) -> Result<f64> {
    let target = target(program);
    let dprintf =
        format!(r#"dprintf {line},"hit id=%d total=%f name=%s n=%d\n",o->id,o->total,o->name,n"#);
    let gdb = Gdb::start(target.pid(), &[&dprintf, "continue"], "hit ")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while gdb.lines() == 0 {
        interrupt::check()?;
        if Instant::now() > deadline {
            bail!("gdb printed nothing");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let (begun, before) = (Instant::now(), gdb.lines());
    interrupt::sleep(WINDOW)?;
    let hits = gdb.lines() - before;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(hits as f64 / begun.elapsed().as_secs_f64())
}

struct Measured {
    /// Rows in the database per second.
    stored: f64,
    hits: f64,
    lost: f64,
}

/// Rows that are in the database, by the time between the first and the last of them.
fn lr(local: Local, program: &Path, line: &str) -> Result<Measured> {
    let target = target(program);
    let pid = target.pid().to_string();
    let mut attach = local.lr();
    attach
        .args(["attach", &pid, "--background"])
        .args(["--rate", "100000000", "--ignore-quota"])
        .args([
            "--log",
            line,
            "id={o.id} total={o.total} name={o.name} n={n}",
        ]);
    interrupt::succeed(&mut attach)?;
    interrupt::sleep(WINDOW)?;
    interrupt::succeed(local.lr().args(["detach", &pid]))?;
    settle(&local)?;
    let numbers = local.sql_numbers(
        "SELECT (SELECT count(*) / (epoch_us(max(ts)) - epoch_us(min(ts))) * 1e6 FROM logs) AS s,
                (SELECT sum(hits) FROM coverage) AS h,
                (SELECT coalesce(sum(count), 0) FROM losses) AS l",
    )?;
    target.assert_clean();
    Ok(Measured {
        stored: numbers[0],
        hits: numbers[1],
        lost: numbers[2],
    })
}

/// Waits until no more rows come: detaching does not wait for those that are on their way.
fn settle(local: &Local) -> Result<()> {
    let mut before = -1.0;
    loop {
        let rows = local.sql_numbers("SELECT count(*) FROM logs")?[0];
        if rows == before {
            return Ok(());
        }
        before = rows;
        interrupt::sleep(Duration::from_millis(500))?;
    }
}

fn target(program: &Path) -> Target {
    let mut command = Command::new(program);
    // Its own rate, once a second.
    command.stderr(Stdio::null());
    Target::start(command)
}
