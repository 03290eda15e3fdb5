use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lr_fixtures::{Fixture, Target, location};

use crate::bench::gdb::Gdb;
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{command, folders, interrupt, packages};

/// How long each way is watched.
const WINDOW: Duration = Duration::from_secs(5);

/// Prints hits per second of one line in a tight loop, each way with the same four values.
pub(crate) fn hit() -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("tight.c").opt('2'))?;
    let line = location("tight.c", "process");

    let limit = limit()?;
    let gdb = gdb(&program, &line)?;
    let lr = lr(Local::new(programs)?, &program, &line)?;

    println!(
        "one line of a tight C loop, four values (int, double, string, int), {} s each:\n",
        WINDOW.as_secs()
    );
    println!(
        "{:<34} {:>12} {:>10} {:>9}",
        "", "hits/s", "µs/hit", "of gdb"
    );
    for (name, rate) in [
        ("the limit: emulate, no values", limit),
        ("lr, end to end into DuckDB", lr.stored),
        ("gdb dprintf", gdb),
    ] {
        let ratio = format!("{:.1}x", rate / gdb);
        println!("{name:<34} {rate:>12.0} {:>10.1} {ratio:>9}", 1e6 / rate);
    }
    println!("\nlr counted {:.0} hits and lost {:.0}.", lr.hits, lr.lost);
    Ok(())
}

/// Hits per second that the bare loop reaches.
pub(super) fn limit() -> Result<f64> {
    let source = folders::root().join("xtask/limits/emulate.c");
    let folder = folders::target().join("limits");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("emulate");
    command::run(
        Command::new("gcc")
            .args(["-O2", "-o"])
            .arg(&program)
            .arg(source),
    )?;
    let printed = command::output(Command::new(&program).arg("100000"))?;
    printed.trim().parse().context("hits per second")
}

/// Hits per second with gdb's `dprintf`, as its output comes.
fn gdb(program: &std::path::Path, line: &str) -> Result<f64> {
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
    while begun.elapsed() < WINDOW {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(10));
    }
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
fn lr(local: Local, program: &std::path::Path, line: &str) -> Result<Measured> {
    let target = target(program);
    let mut attach = local.lr();
    attach
        .args(["attach", &target.pid().to_string(), "--json"])
        .args(["--for", &format!("{}s", WINDOW.as_secs())])
        .args(["--rate", "100000000", "--ignore-quota"])
        .args([
            "--log",
            line,
            "id={o.id} total={o.total} name={o.name} n={n}",
        ])
        .stdout(Stdio::null());
    let status = interrupt::run(&mut attach)?;
    if !status.success() {
        bail!("lr attach ended with {status}");
    }
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

fn target(program: &std::path::Path) -> Target {
    let mut command = Command::new(program);
    // Its own rate, once a second.
    command.stderr(Stdio::null());
    Target::start(command)
}
