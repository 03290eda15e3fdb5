use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lr_fixtures::{Fixture, Target, location};
use serde_json::Value;

use crate::bench::gdb;
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{command, interrupt, packages};

/// Rounds, in each of which every phase has its turn.
const ROUNDS: usize = 10;
/// The same of debuggers, which take seconds.
const ROUNDS_OF_OTHERS: usize = 3;
const THREADS: [u32; 3] = [1, 64, 512];

/// How long nothing is done, for comparison.
const NOTHING: Duration = Duration::from_millis(300);
/// What is done may go on for a moment after the command that began it.
const AFTERWARDS: Duration = Duration::from_millis(50);

/// What threads of the target saw while something was done, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Gaps {
    /// The longest time that the thread which never sleeps did not run.
    running: f64,
    /// By how much the others woke up too late, at most.
    waking: f64,
    took: f64,
}

/// Prints the longest time that threads of a program were kept from running, while a tool
/// attaches, plants, removes and detaches.
pub(crate) fn attach() -> Result<()> {
    packages::need(&packages::BENCH_ATTACH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("gap.c").opt('2'))?;
    let local = Local::new(programs)?;
    // Starts the server, which is no part of attaching.
    interrupt::succeed(local.lr().args(["server", "start"]))?;
    println!(
        "the longest gap that threads saw, in milliseconds: median and worst of {ROUNDS} rounds, of \
         debuggers {ROUNDS_OF_OTHERS}\n"
    );
    println!(
        "{:<42} {:>7} {:>21} {:>21} {:>8}",
        "", "threads", "one that runs", "those that wake up", "took"
    );
    for threads in THREADS {
        of_nothing(&program, threads)?;
        of_lr(&local, &program, threads)?;
        of_others(&program, threads)?;
    }
    Ok(())
}

fn of_nothing(program: &Path, threads: u32) -> Result<()> {
    let mut target = start(program, threads);
    let mut nothing = Vec::new();
    let mut something = Vec::new();
    for _ in 0..ROUNDS {
        nothing.push(measure(&mut target, || interrupt::sleep(NOTHING))?);
        let other = || interrupt::succeed(&mut Command::new("true"));
        something.push(measure(&mut target, other)?);
    }
    print("nothing, for 0.3 s", threads, &nothing);
    print("a program that does nothing (`true`)", threads, &something);
    Ok(())
}

fn of_lr(local: &Local, program: &Path, threads: u32) -> Result<()> {
    let mut target = start(program, threads);
    let pid = target.pid().to_string();
    let (never, tick) = (location("gap.c", "never"), location("gap.c", "tick"));
    let lr = |arguments: &[&str]| interrupt::succeed(local.lr().args(arguments));
    let mut phases: BTreeMap<&str, Vec<Gaps>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut phase = |name, target: &mut Target, arguments: &[&str]| -> Result<()> {
            let gaps = measure(target, || lr(arguments))?;
            phases.entry(name).or_default().push(gaps);
            Ok(())
        };
        let attach = ["attach", &pid, "--background", "--counter", &never];
        phase("lr: 1 attach", &mut target, &attach)?;
        phase("lr: 2 plant", &mut target, &["counter", &tick])?;
        let counter = action_at(local, &tick)?;
        phase("lr: 3 remove", &mut target, &["rm", &counter])?;
        phase("lr: 4 detach", &mut target, &["detach", &pid])?;
        target.assert_clean();
    }
    for (name, gaps) in &phases {
        print(name, threads, gaps);
    }
    Ok(())
}

/// Each of these stops every thread, and attaches anew for each thing that it does.
fn of_others(program: &Path, threads: u32) -> Result<()> {
    let mut target = start(program, threads);
    let pid = target.pid();
    let never = location("gap.c", "never");
    let plant = format!("break {never}");
    let of_gdb = gdb::command(pid, &[&plant, "delete", "detach"]);
    let mut of_lldb = Command::new("lldb");
    of_lldb.args(["--batch", "--no-lldbinit", "-p", &pid.to_string()]);
    let lldb_plant = match never.split_once(':') {
        Some((file, line)) => format!("breakpoint set --file {file} --line {line}"),
        None => bail!("{never} is no line"),
    };
    for line in [lldb_plant.as_str(), "breakpoint delete --force", "detach"] {
        of_lldb.args(["-o", line]);
    }
    let name = "attach, plant, remove, detach";
    for (tool, mut command) in [("gdb", of_gdb), ("lldb", of_lldb)] {
        let mut gaps = Vec::new();
        for _ in 0..ROUNDS_OF_OTHERS {
            gaps.push(measure(&mut target, || interrupt::succeed(&mut command))?);
            target.assert_clean();
        }
        print(&format!("{tool}: {name}"), threads, &gaps);
    }
    Ok(())
}

fn start(program: &Path, threads: u32) -> Target {
    Target::spawn(program, [threads.to_string()])
}

/// The id of the action there.
fn action_at(local: &Local, location: &str) -> Result<String> {
    let actions = command::output(local.lr().args(["actions", "--json"]))?;
    for line in actions.lines() {
        let action: Value = serde_json::from_str(line)?;
        if action["location"] == location
            && let Some(id) = action["id"].as_str()
        {
            return Ok(id.to_owned());
        }
    }
    bail!("no action at {location}: {actions}")
}

fn measure(target: &mut Target, act: impl FnOnce() -> Result<()>) -> Result<Gaps> {
    interrupt::check()?;
    longest(target)?;
    let begun = Instant::now();
    act()?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    std::thread::sleep(AFTERWARDS);
    let [running, waking] = longest(target)?;
    Ok(Gaps {
        running,
        waking,
        took,
    })
}

/// The longest gaps since the last time they were asked for.
fn longest(target: &mut Target) -> Result<[f64; 2]> {
    target.send("");
    let line = target.line();
    let numbers = line.strip_prefix("gap ").and_then(|line| {
        let (running, waking) = line.split_once(' ')?;
        Some([running.parse::<f64>().ok()?, waking.parse::<f64>().ok()?])
    });
    let numbers = numbers.with_context(|| format!("unexpected: {line}"))?;
    Ok(numbers.map(|nanoseconds| nanoseconds / 1e6))
}

fn print(name: &str, threads: u32, gaps: &[Gaps]) {
    let of = |which: fn(&Gaps) -> f64| {
        let mut sorted: Vec<f64> = gaps.iter().map(which).collect();
        sorted.sort_by(f64::total_cmp);
        (sorted[sorted.len() / 2], sorted[sorted.len() - 1])
    };
    let (running, waking, took) = (of(|g| g.running), of(|g| g.waking), of(|g| g.took));
    let waking = match threads {
        1 => String::new(),
        _ => format!("{:.3} {:>10.3}", waking.0, waking.1),
    };
    println!(
        "{name:<42} {threads:>7} {:>10.3} {:>10.3} {waking:>21} {:>5.0} ms",
        running.0, running.1, took.0
    );
}
