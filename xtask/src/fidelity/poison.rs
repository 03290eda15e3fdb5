use std::fs;
use std::process::Stdio;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{prepare, script};
use crate::interrupt;

/// Overwrites what is in the places of variables that are not live yet, at so many stops of each
/// run, and fails if a program notices.
pub(crate) fn run(stops: usize, words: &[&str]) -> Result<()> {
    let (lr, programs) = prepare(words)?;
    let mut noticed = 0;
    println!("| program | runs | stops | variables | bytes | shared | noticed |");
    println!("|---|---|---|---|---|---|---|");
    for program in programs {
        if program.repeatable.is_empty() {
            continue;
        }
        let folder = tempfile::Builder::new().prefix("lr-poison-").tempdir()?;
        eprintln!("poisoning {} at {stops} statements a run", program.name);
        let mut gdb = script(folder.path(), &program, stops, &program.repeatable)?;
        gdb.env("LR_POISON", &lr)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = interrupt::run(&mut gdb)?;
        ensure!(status.success(), "gdb ended with {status}");
        let told = fs::read_to_string(folder.path().join("poison.json"))?;
        let mut sums = [0; 4];
        let mut different = 0;
        for line in told.lines() {
            let run: Value = serde_json::from_str(line)?;
            for (sum, name) in sums
                .iter_mut()
                .zip(["stops", "variables", "bytes", "shared"])
            {
                *sum += run[name].as_u64().unwrap_or(0);
            }
            ensure!(
                run["late"] != true,
                "{} did not end in time",
                run["command"]
            );
            if run["same"] != true {
                different += 1;
                eprintln!("  noticed: {}", run["command"]);
            }
        }
        let [stops, variables, bytes, shared] = sums;
        let (name, runs) = (&program.name, told.lines().count());
        println!(
            "| `{name}` | {runs} | {stops} | {variables} | {bytes} | {shared} | {different} |"
        );
        noticed += different;
    }
    ensure!(noticed == 0, "{noticed} runs were not what they are alone");
    Ok(())
}
