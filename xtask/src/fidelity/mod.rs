//! The oracle: gdb stops a program at many statements and writes a core at each; gdb and `lr` read
//! the same cores, and what they say is compared leaf by leaf.

mod compare;
mod leaf;
mod table;
mod tails;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::build::{self, Purpose};
use crate::{command, interrupt, packages};
use compare::Comparison;

const STOPS_PY: &str = include_str!("stops.py");
const TELL_PY: &str = include_str!("tell.py");
/// As `lr snapshot` shows them.
const FRAMES: usize = 20;
const LOOKED_INTO: usize = 5;

/// Compares each program, a command line of its own, at so many stops.
pub(crate) fn run(stops: usize, programs: &[&str]) -> Result<()> {
    packages::need(&packages::BENCH)?;
    interrupt::become_errors()?;
    let lr = match std::env::var_os("LR_FIDELITY_LR") {
        // A program that is built already.
        Some(lr) => lr.into(),
        None => build::release(Purpose::Here)?.lr,
    };
    let mut compared = Vec::new();
    for program in programs {
        let mut words = program.split_whitespace();
        let path = words.next().context("a program has a name")?;
        let arguments: Vec<&str> = words.collect();
        let comparison = compare(&lr, Path::new(path), &arguments, stops)?;
        print!("{}", table::details(path, &comparison));
        compared.push((path.to_string(), comparison));
    }
    print!("{}", table::of(&compared));
    let wrong: u64 = compared.iter().map(|(_, each)| each.different()).sum();
    ensure!(wrong == 0, "{wrong} leaves or frames are different");
    Ok(())
}

fn compare(lr: &Path, program: &Path, arguments: &[&str], stops: usize) -> Result<Comparison> {
    let folder = tempfile::Builder::new().prefix("lr-fidelity-").tempdir()?;
    let folder = folder.path();
    eprintln!("stopping {} at {stops} statements", program.display());
    let mut gdb = gdb(folder, "stops.py", STOPS_PY, program)?;
    gdb.env("LR_STOPS", stops.to_string());
    gdb.arg("--args").arg(program).args(arguments);
    command::output(&mut gdb)?;
    let mut gdb = self::gdb(folder, "tell.py", TELL_PY, program)?;
    gdb.env("LR_FRAMES", FRAMES.to_string())
        .env("LR_LOOKED_INTO", LOOKED_INTO.to_string())
        .arg(program);
    command::output(&mut gdb)?;
    let mut comparison = Comparison::default();
    for line in fs::read_to_string(folder.join("told.json"))?.lines() {
        interrupt::check()?;
        let told: Value = serde_json::from_str(line)?;
        let core = told["core"].as_str().context("a core has a path")?;
        let mut snapshot = Command::new(lr);
        snapshot.args(["snapshot", "--raw", "--json", "--core", core]);
        let ours = command::output(snapshot.stderr(Stdio::null()))?;
        let ours: Value = serde_json::from_str(&ours)?;
        comparison.add(&told["frames"], &ours["frames"]);
    }
    ensure!(comparison.stops > 0, "the program reached no statement");
    Ok(comparison)
}

fn gdb(folder: &Path, name: &str, script: &str, program: &Path) -> Result<Command> {
    ensure!(program.is_file(), "{} is no program", program.display());
    let path = folder.join(name);
    fs::write(&path, script)?;
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off"])
        .arg("-x")
        .arg(path)
        .env("LR_FOLDER", folder)
        .stdin(Stdio::null());
    Ok(gdb)
}
