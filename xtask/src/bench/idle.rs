use std::path::Path;

use anyhow::Result;
use lr_fixtures::{Fixture, Target, location};

use crate::bench::done::Done;
use crate::bench::gdb::Gdb;
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{interrupt, packages};

/// Rounds, in each of which every way has its turn: the machine changes from one second to the next.
const ROUNDS: usize = 15;
const MILLISECONDS: u64 = 300;

/// Work of which the share that is lost counts.
const WORK: [&str; 2] = ["compute", "syscalls"];
/// Events that each cost something more where somebody traces.
const EVENTS: [&str; 3] = ["threads", "forks", "signals"];

/// A program and what is attached to it.
struct Way {
    name: &'static str,
    target: Target,
    /// Ended when this is dropped.
    _gdb: Option<Gdb>,
}

/// Prints what a program loses to what is attached to it and does little.
pub(crate) fn idle() -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("paced.c").opt('2'))?;
    let local = Local::new(programs)?;
    let mut ways = vec![
        Way::of("nothing", &program),
        attached("lr, no action", &local, &program, None)?,
        attached(
            "lr, a counter at 1,000 hits/s",
            &local,
            &program,
            Some("pass"),
        )?,
        attached(
            "lr, a counter at a line that is never passed",
            &local,
            &program,
            Some("never"),
        )?,
        with_gdb("gdb, a breakpoint at a line that is never passed", &program)?,
    ];

    println!(
        "nanoseconds of one piece of work, median of {ROUNDS} rounds of {MILLISECONDS} ms; more than with nothing attached:\n"
    );
    print!("{:<50}", "");
    for work in WORK.iter().chain(&EVENTS) {
        print!(" {work:>18}");
    }
    println!();
    let mut costs = Vec::new();
    for work in WORK.iter().chain(&EVENTS) {
        costs.push(measure(&mut ways, work)?);
    }
    for (index, way) in ways.iter().enumerate() {
        print!("{:<50}", way.name);
        for of_work in &costs {
            let more = (of_work[index] / of_work[0] - 1.0) * 100.0;
            print!(" {:>18}", format!("{:.0} ({more:+.1} %)", of_work[index]));
        }
        println!();
    }
    Ok(())
}

/// The median for each way, in nanoseconds.
fn measure(ways: &mut [Way], work: &str) -> Result<Vec<f64>> {
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for (way, costs) in ways.iter_mut().zip(&mut rounds) {
            interrupt::check()?;
            way.target.send(&format!("{work} {MILLISECONDS}"));
            costs.push(1e9 / Done::parse("did", &way.target.line())?.rate());
        }
    }
    let median = |mut costs: Vec<f64>| {
        costs.sort_by(f64::total_cmp);
        costs[costs.len() / 2]
    };
    Ok(rounds.into_iter().map(median).collect())
}

impl Way {
    fn of(name: &'static str, program: &Path) -> Way {
        Way {
            name,
            target: Target::spawn(program, [""; 0]),
            _gdb: None,
        }
    }
}

/// With a counter at a marked line, or without any action.
fn attached(
    name: &'static str,
    local: &Local,
    program: &Path,
    marker: Option<&str>,
) -> Result<Way> {
    let way = Way::of(name, program);
    let mut attach = local.lr();
    attach.args(["attach", &way.target.pid().to_string(), "--background"]);
    if let Some(marker) = marker {
        attach.args(["--ignore-quota", "--counter", &location("paced.c", marker)]);
    }
    interrupt::succeed(&mut attach)?;
    Ok(way)
}

fn with_gdb(name: &'static str, program: &Path) -> Result<Way> {
    let way = Way::of(name, program);
    let line = format!("break {}", location("paced.c", "never"));
    let handle = "handle SIGUSR1 nostop noprint pass";
    let gdb = Gdb::start(
        way.target.pid(),
        &[&line, handle, "echo ready\\n", "continue"],
        "ready",
    )?;
    while gdb.lines() == 0 {
        interrupt::check()?;
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok(Way {
        _gdb: Some(gdb),
        ..way
    })
}
