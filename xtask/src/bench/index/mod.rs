//! The time and memory from a file to the first place in it: lr, gdb and lldb.

mod measure;
mod program;

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use self::measure::{Taken, measure};
use self::program::Program;
use crate::{build, command, folders, interrupt, packages};

/// Prints what it takes to find a line and a function.
pub(crate) fn index() -> Result<()> {
    packages::need(&packages::BENCH_INDEX)?;
    interrupt::become_errors()?;
    command::run(build::cargo().args(["build", "--release", "-p", "lr-cli"]))?;
    let lr = folders::target().join("release/lr");
    let [whole, separate] = program::rust()?;
    for program in [program::cpp()?, whole, separate] {
        println!("\n{}:\n", program.what);
        println!(
            "{:<26} {:>9} {:>8} {:>10} {:>8}",
            "", "seconds", "of gdb", "MB memory", "of gdb"
        );
        for spot in [program.line.as_str(), program.function] {
            compare(&lr, &program, spot)?;
        }
    }
    Ok(())
}

fn compare(lr: &Path, program: &Program, spot: &str) -> Result<()> {
    let cache = tempfile::tempdir()?;
    // The file itself is in memory for all of them.
    std::io::copy(
        &mut std::fs::File::open(&program.file)?,
        &mut std::io::sink(),
    )?;
    let gdb = measure(&mut gdb(&program.file, spot), "Breakpoint 1")?;
    let lldb = measure(&mut lldb(&program.file, spot), "address = ")?;
    let mut explain = Command::new(lr);
    explain
        .args(["explain", spot, "--binary"])
        .arg(&program.file);
    explain.env("XDG_CACHE_HOME", cache.path());
    let cold = measure(&mut explain, "0x")?;
    let warm = measure(&mut explain, "0x")?;
    println!("`{spot}`");
    for (name, taken) in [
        ("gdb", gdb),
        ("lldb", lldb),
        ("lr explain", cold),
        ("lr explain, from the cache", warm),
    ] {
        println!("{}", row(name, taken, gdb));
    }
    Ok(())
}

fn row(name: &str, taken: Taken, gdb: Taken) -> String {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let megabytes = |taken: Taken| taken.memory as f64 / 1e6;
    let seconds = |taken: Taken| taken.time.as_secs_f64();
    format!(
        "{name:<26} {:>9.3} {:>7.1}% {:>10.0} {:>7.1}%",
        seconds(taken),
        seconds(taken) / seconds(gdb) * 100.0,
        megabytes(taken),
        megabytes(taken) / megabytes(gdb) * 100.0
    )
}

/// A gdb that plants one breakpoint in a file and ends.
fn gdb(file: &Path, spot: &str) -> Command {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-iex", "set debuginfod enabled off"]);
    gdb.args(["-iex", "set index-cache enabled off"]);
    gdb.args(["-ex", &format!("break {spot}")]).arg(file);
    gdb
}

/// The same with lldb.
fn lldb(file: &Path, spot: &str) -> Command {
    let set = match spot.rsplit_once(':').filter(|(file, _)| file.contains('.')) {
        Some((file, line)) => format!("breakpoint set --file {file} --line {line}"),
        None => format!("breakpoint set --name {spot}"),
    };
    let mut command = Command::new("lldb");
    command.args(["--no-lldbinit", "--batch", "--one-line", &set]);
    command.arg(file);
    command
}
