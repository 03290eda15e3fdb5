//! The oracle: gdb stops a program at many statements, writes a core at each and tells what it
//! sees there; `lr` reads the core, and what they say is compared leaf by leaf.

mod compare;
mod leaf;
mod poison;
mod program;
mod recipes;
mod stops;
mod table;
mod tails;
mod wrong;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::build::{self, Purpose};
use crate::{command, interrupt, packages};
use compare::Comparison;
use program::Program;
use stops::Stops;

/// What gdb runs, by the names under which the parts know each other.
const SCRIPTS: [(&str, &str); 4] = [
    ("stops.py", include_str!("stops.py")),
    ("tell.py", include_str!("tell.py")),
    ("contents.py", include_str!("contents.py")),
    ("poison.py", include_str!("poison.py")),
];
/// As `lr snapshot` shows them.
const FRAMES: usize = 20;
const LOOKED_INTO: usize = 5;

pub(crate) use poison::run as poison;

/// Compares each program at so many stops: one of those that are known by name, or a command line.
/// Without any, all that are known.
pub(crate) fn run(stops: usize, words: &[&str]) -> Result<()> {
    let (lr, programs) = prepare(words)?;
    let mut compared = Vec::new();
    for program in programs {
        let begun = Instant::now();
        let comparison = compare(&lr, &program, stops)?;
        print!("{}", table::details(&program.name, &comparison));
        let seconds = begun.elapsed().as_secs();
        println!("  {seconds} s, {} ms of lr a core", comparison.time_of_lr());
        compared.push((program.name.clone(), comparison));
    }
    print!("{}", table::of(&compared));
    let wrong: u64 = compared.iter().map(|(_, each)| each.different()).sum();
    ensure!(wrong == 0, "{wrong} leaves or frames are different");
    Ok(())
}

/// The `lr` to be asked, and the programs that words stand for.
fn prepare(words: &[&str]) -> Result<(PathBuf, Vec<Program>)> {
    let is_known = |word: &&str| recipes::named(word).is_some();
    match words.is_empty() || words.iter().any(is_known) {
        true => packages::need(&packages::FIDELITY)?,
        // A program that is there needs nothing to build it.
        false => packages::need(&packages::BENCH)?,
    }
    interrupt::become_errors()?;
    let lr = match std::env::var_os("LR_FIDELITY_LR") {
        // A program that is built already.
        Some(lr) => lr.into(),
        None => build::release(Purpose::Here)?.lr,
    };
    let mut programs = Vec::new();
    for word in words {
        programs.push(match recipes::named(word) {
            Some(recipe) => recipe()?,
            None => Program::of_words(word)?,
        });
    }
    if words.is_empty() {
        for (_, recipe) in recipes::ALL {
            programs.push(recipe()?);
        }
    }
    Ok((lr, programs))
}

fn compare(lr: &Path, program: &Program, stops: usize) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut stopped = Stops::of(program, stops)?;
    while let Some(stop) = stopped.next()? {
        let (raw, shown) = thread::scope(|scope| {
            let shown = scope.spawn(|| snapshot(lr, &stop.core, &[]));
            let begun = Instant::now();
            let raw = snapshot(lr, &stop.core, &["--raw"]);
            comparison.lr += begun.elapsed();
            (raw, shown.join().expect("asking does not panic"))
        });
        let (raw, shown) = (raw?, shown?);
        comparison.add(&stop.told, &raw["frames"], &shown["frames"]);
        stopped.is_read(&stop)?;
    }
    ensure!(comparison.stops > 0, "the program reached no statement");
    Ok(comparison)
}

fn snapshot(lr: &Path, core: &Path, flags: &[&str]) -> Result<Value> {
    let mut snapshot = Command::new(lr);
    snapshot.args(["snapshot", "--json"]).args(flags);
    snapshot.arg("--core").arg(core).stderr(Stdio::null());
    Ok(serde_json::from_str(&command::output(&mut snapshot)?)?)
}

/// gdb with what it is to do to a program.
fn script(folder: &Path, program: &Program, stops: usize, commands: &[String]) -> Result<Command> {
    for (name, script) in SCRIPTS {
        fs::write(folder.join(name), script)?;
    }
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off"])
        .arg("-x")
        .arg(folder.join("stops.py"))
        .arg(&program.path)
        .current_dir(&program.folder)
        .env("LR_FOLDER", folder)
        .env("LR_STOPS", stops.to_string())
        .env("LR_COMMANDS", commands.join("\n"))
        .env("LR_FRAMES", FRAMES.to_string())
        .env("LR_LOOKED_INTO", LOOKED_INTO.to_string())
        .env("LR_RUST_PRINTERS", rust_printers()?)
        .stdin(Stdio::null());
    Ok(gdb)
}

/// Where rustc has its printers for gdb.
fn rust_printers() -> Result<PathBuf> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let sysroot = command::output(rustc.args(["--print", "sysroot"]))?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib/etc"))
}
