use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use lr_fixtures::{Fixture, Target, location};

use crate::bench::hit::{self, Cpus};
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{interrupt, packages};

/// How long each kind is watched.
const WINDOW: Duration = Duration::from_secs(4);

/// Snapshots of the row that has their time: each stops its thread for so long.
const SNAPSHOTS: &str = "50";

/// What a hit is asked to do, and the arguments that ask for it.
const KINDS: &[(&str, &[&str])] = &[
    (
        "a condition that is false",
        &["--counter", "LINE", "--if", "n < 0"],
    ),
    ("counter", &["--counter", "LINE"]),
    (
        "counter, by `n % 50`",
        &["--counter", "LINE", "--by", "n % 50"],
    ),
    (
        "counter, by `o.name`",
        &["--counter", "LINE", "--by", "o.name"],
    ),
    ("metric of `o.total`", &["--metric", "LINE", "o.total"]),
    (
        "log, 4 values, into DuckDB",
        &[
            "--log",
            "LINE",
            "id={o.id} total={o.total} name={o.name} n={n}",
        ],
    ),
];

/// Prints the cost of a hit of each kind of action, beside what ptrace allows, in the same run.
pub(crate) fn actions() -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("tight.c").opt('2'))?;
    let line = location("tight.c", "process");
    let local = Local::new(programs)?;

    let before = hit::limit(Cpus::One)?;
    let mut measured = Vec::new();
    for (name, arguments) in KINDS {
        measured.push((*name, watch(&local, &program, &line, arguments)?));
    }
    let stops = snapshots(&local, &program, &line)?;
    // The machine may have become slower or faster meanwhile.
    let limit = f64::midpoint(before, hit::limit(Cpus::One)?);

    println!(
        "one line of a tight C loop, {} s each; hits while it was planted:\n",
        WINDOW.as_secs()
    );
    println!(
        "{:<36} {:>10} {:>8} {:>12}",
        "", "hits/s", "µs/hit", "of the limit"
    );
    row("the limit: emulate, both on one CPU", limit, limit);
    for (name, rate) in measured {
        row(name, rate, limit);
    }
    println!(
        "\nsnapshots: {} taken, their threads stopped for {:.2} ms in the median, {:.2} ms at most",
        stops[0], stops[1], stops[2]
    );
    Ok(())
}

fn row(name: &str, rate: f64, limit: f64) {
    let ratio = format!("{:.2}x", limit / rate);
    println!("{name:<36} {rate:>10.0} {:>8.1} {ratio:>12}", 1e6 / rate);
}

/// Hits per second of the last action that was placed.
pub(super) fn watch(local: &Local, program: &Path, line: &str, arguments: &[&str]) -> Result<f64> {
    let target = target(program);
    let arguments = arguments.iter().map(|word| match *word {
        "LINE" => line,
        word => word,
    });
    let mut attach = local.lr();
    attach
        .args(["attach", &target.pid().to_string(), "--json"])
        .args(["--for", &format!("{}s", WINDOW.as_secs())])
        .args(["--rate", "100000000", "--ignore-quota"])
        .args(arguments);
    interrupt::succeed(&mut attach)?;
    target.assert_clean();
    let numbers = local.sql_numbers(
        "SELECT sum(hits) * 1000 / sum(observed_ms) FROM coverage
         WHERE action_id = (SELECT action_id FROM actions ORDER BY created_at DESC LIMIT 1)",
    )?;
    Ok(numbers[0])
}

/// How many were taken, and the median and longest of their stops, in milliseconds.
fn snapshots(local: &Local, program: &Path, line: &str) -> Result<Vec<f64>> {
    let target = target(program);
    let mut attach = local.lr();
    attach
        .args(["attach", &target.pid().to_string(), "--json"])
        .args(["--hits", SNAPSHOTS, "--ignore-quota", "--snapshot", line]);
    interrupt::succeed(&mut attach)?;
    target.assert_clean();
    local.sql_numbers("SELECT count(*), median(stop_ns) / 1e6, max(stop_ns) / 1e6 FROM snapshots")
}

fn target(program: &Path) -> Target {
    let mut command = Command::new(program);
    // Its own rate, once a second.
    command.stderr(Stdio::null());
    Target::start(command)
}
