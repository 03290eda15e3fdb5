use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use lr_fixtures::{Fixture, Target, location};

use crate::bench::done::Done;
use crate::bench::gdb::Gdb;
use crate::bench::limits;
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{interrupt, packages};

/// How often all is started anew: where a program lies in memory makes it a percent faster or slower.
const STARTS: usize = 4;
/// Rounds, in each of which every way has its turn: the machine changes from one second to the next.
const ROUNDS: usize = 6;
const MILLISECONDS: u64 = 300;

/// Work of which the share that is lost counts.
const WORK: [&str; 2] = ["compute", "syscalls"];
/// Events that each cost something more where somebody traces.
const EVENTS: [&str; 3] = ["threads", "forks", "signals"];

/// Ways of being attached to, in the order of the rows.
const WAYS: [(&str, Attached); 6] = [
    ("nothing", Attached::Nothing),
    ("lr, no action", Attached::Lr(None)),
    ("lr, a counter at 1,000 hits/s", Attached::Lr(Some("pass"))),
    ("the limit: the bare loop at 1,000 hits/s", Attached::Limit),
    (
        "lr, a counter at a line that is never passed",
        Attached::Lr(Some("never")),
    ),
    (
        "gdb, a breakpoint at a line that is never passed",
        Attached::Gdb,
    ),
];

#[derive(Clone, Copy)]
enum Attached {
    Nothing,
    /// With a counter at a marked line, or without any action.
    Lr(Option<&'static str>),
    Limit,
    Gdb,
}

/// A program, and what is attached to it and ends when this is dropped.
struct Way {
    target: Target,
    _gdb: Option<Gdb>,
    bare: Option<Limit>,
}

/// A running `xtask/limits/attached.c`.
struct Limit(Child);

impl Drop for Limit {
    fn drop(&mut self) {
        interrupt::end(&mut self.0);
    }
}

/// Prints what a program loses to what is attached to it and does little.
pub(crate) fn idle() -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("paced.c").opt('2'))?;
    let limit = limits::compile("attached")?;
    println!(
        "nanoseconds of one piece of work, median of {ROUNDS} rounds of {MILLISECONDS} ms with each of {STARTS} processes; more than with nothing attached:\n"
    );
    print!("{:<50}", "");
    for work in WORK.iter().chain(&EVENTS) {
        print!(" {work:>18}");
    }
    println!();
    let mut costs = vec![vec![Vec::new(); WAYS.len()]; WORK.len() + EVENTS.len()];
    for _ in 0..STARTS {
        let local = Local::new(programs.clone())?;
        let ways: Result<Vec<Way>> = WAYS
            .iter()
            .map(|(_, attached)| attached.start(&local, &program, &limit))
            .collect();
        let mut ways = ways?;
        for (work, costs) in WORK.iter().chain(&EVENTS).zip(&mut costs) {
            measure(&mut ways, work, costs)?;
        }
    }
    let costs: Vec<Vec<Option<f64>>> = costs
        .into_iter()
        .map(|of_work| of_work.into_iter().map(median).collect())
        .collect();
    for (index, (name, _)) in WAYS.iter().enumerate() {
        print!("{name:<50}");
        for of_work in &costs {
            print!(" {:>18}", cell(of_work[index], of_work[0]));
        }
        println!();
    }
    Ok(())
}

fn cell(cost: Option<f64>, nothing: Option<f64>) -> String {
    let (Some(cost), Some(nothing)) = (cost, nothing) else {
        return String::new();
    };
    let more = (cost / nothing - 1.0) * 100.0;
    format!("{cost:.0} ({more:+.1} %)")
}

/// Adds for each way what a piece of work takes, in nanoseconds.
fn measure(ways: &mut [Way], work: &str, costs: &mut [Vec<f64>]) -> Result<()> {
    for _ in 0..ROUNDS {
        for (way, costs) in ways.iter_mut().zip(costs.iter_mut()) {
            // It lets births pass, and keeps them on one CPU.
            if way.bare.is_some() && !WORK.contains(&work) {
                continue;
            }
            interrupt::check()?;
            way.target.send(&format!("{work} {MILLISECONDS}"));
            costs.push(1e9 / Done::parse("did", &way.target.line())?.rate());
        }
    }
    Ok(())
}

/// `None` if nothing was measured.
fn median(mut costs: Vec<f64>) -> Option<f64> {
    costs.sort_by(f64::total_cmp);
    costs.get(costs.len() / 2).copied()
}

impl Attached {
    fn start(self, local: &Local, program: &Path, limit: &Path) -> Result<Way> {
        let mut target = Target::spawn(program, [""; 0]);
        let (mut gdb, mut bare) = (None, None);
        match self {
            Attached::Nothing => {}
            Attached::Lr(marker) => with_lr(local, &target, marker)?,
            Attached::Limit => bare = Some(with_limit(limit, &mut target)?),
            Attached::Gdb => gdb = Some(with_gdb(&target)?),
        }
        Ok(Way {
            target,
            _gdb: gdb,
            bare,
        })
    }
}

/// With a counter at a marked line, or without any action.
fn with_lr(local: &Local, target: &Target, marker: Option<&str>) -> Result<()> {
    let mut attach = local.lr();
    attach.args(["attach", &target.pid().to_string(), "--background"]);
    if let Some(marker) = marker {
        attach.args(["--ignore-quota", "--counter", &location("paced.c", marker)]);
    }
    interrupt::succeed(&mut attach)
}

fn with_limit(program: &Path, target: &mut Target) -> Result<Limit> {
    target.send("where 0");
    let address = Done::parse("did", &target.line())?.times;
    let mut child = Command::new(program)
        .args([target.pid().to_string(), address.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the bare loop")?;
    let mut ready = String::new();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let limit = Limit(child);
    BufReader::new(stdout).read_line(&mut ready)?;
    if ready.trim() != "ready" {
        bail!("the bare loop could not attach");
    }
    Ok(limit)
}

fn with_gdb(target: &Target) -> Result<Gdb> {
    let line = format!("break {}", location("paced.c", "never"));
    let handle = "handle SIGUSR1 nostop noprint pass";
    let gdb = Gdb::start(
        target.pid(),
        &[&line, handle, "echo ready\\n", "continue"],
        "ready",
    )?;
    while gdb.lines() == 0 {
        interrupt::check()?;
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok(gdb)
}
