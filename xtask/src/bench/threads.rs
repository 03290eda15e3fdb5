use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lr_fixtures::{Fixture, Target, location};

use crate::bench::done::Done;
use crate::build::{self, Purpose};
use crate::local::Local;
use crate::{interrupt, packages};

const THREADS: [u64; 4] = [1, 8, 64, 512];

/// Hits of each row; together more than ten million.
const HITS: u64 = 1_310_720;

/// Prints hits per second of one line that all threads of a program hit, and that one of them hits
/// while the others sleep; fails if a single hit is missing.
pub(crate) fn threads() -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let programs = build::release(Purpose::Here)?;
    let program = build::fixture(&Fixture::c("crowd.c").opt('2'))?;
    let line = location("crowd.c", "pass");
    let local = Local::new(programs)?;

    println!("one line, a counter, {HITS} hits each:\n");
    println!(
        "{:>8} {:>20} {:>28}",
        "threads", "all hit it: hits/s", "one does, others sleep"
    );
    let mut total = 0;
    for threads in THREADS {
        let all = watch(&local, &program, &line, threads, true)?;
        let one = watch(&local, &program, &line, threads, false)?;
        total += all.times + one.times;
        println!("{threads:>8} {:>20.0} {:>28.0}", all.rate(), one.rate());
    }
    println!("\n{total} hits, counted by the program and by lr: none is missing.");
    Ok(())
}

fn watch(local: &Local, program: &Path, line: &str, threads: u64, all: bool) -> Result<Done> {
    let mut command = Command::new(program);
    command.arg(threads.to_string());
    let mut target = Target::start(command);
    let pid = target.pid().to_string();
    interrupt::succeed(local.lr().args([
        "attach",
        &pid,
        "--background",
        "--ignore-quota",
        "--counter",
        line,
    ]))?;
    let (who, each) = match all {
        true => ("all", HITS / threads),
        false => ("one", HITS),
    };
    target.send(&format!("{who} {each}"));
    let passed = Done::parse("passed", &target.line())?;
    interrupt::succeed(local.lr().args(["detach", &pid]))?;
    target.assert_clean();
    let counted = counted(local, passed.times)?;
    if counted != passed.times {
        bail!(
            "{threads} threads: {} hits, and lr counted {counted}",
            passed.times
        );
    }
    Ok(passed)
}

/// Hits of the last action that was placed, as soon as the rows tell the wanted number, or after a
/// while.
fn counted(local: &Local, wanted: u64) -> Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        interrupt::check()?;
        let numbers = local.sql_numbers(
            "SELECT coalesce(sum(hits), 0) FROM coverage
             WHERE action_id = (SELECT action_id FROM actions ORDER BY created_at DESC LIMIT 1)",
        )?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let counted = numbers[0] as u64;
        if counted == wanted || Instant::now() > deadline {
            return Ok(counted);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
