//! The project's own commands: `cargo xtask setup`, `demo`, `test`, `bench`, `install`,
//! `fuzz` and `realworld`.
//!
//! Constraints, and what follows from them:
//! - It runs before anything is set up, so it links neither DuckDB nor a crate that does; `lr` and
//!   `lr-server` are built and run as programs.
//! - A second run is quick: whatever was fetched or built is kept under its checksum or version.
//! - It leaves nothing running, interrupted or not, and changes nothing outside the clone, the
//!   cache folder and the prefix that it was given; only `test` and `realworld` install Debian
//!   packages, and only as root.

mod bench;
mod build;
mod command;
mod debian;
mod demo;
mod fidelity;
mod folders;
mod fuzz;
mod install;
mod interrupt;
mod local;
mod packages;
mod process;
mod realworld;
mod redis;
mod setup;
mod tallied;
mod test;

use std::num::ParseIntError;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result};

const USAGE: &str = "\
cargo xtask <command>

  demo                         watch a program that runs: builds what is missing, takes a minute
  setup                        fetch the DuckDB library that the server links
  test [ARGUMENTS]             everything that can fail; arguments go to `cargo test`
  install [--prefix FOLDER]    lr, lr-server and the DuckDB library, into ~/.local unless said
  bench hit                    hits per second: lr, gdb and what ptrace allows
  bench actions                what a hit costs, of each kind of action and of a false condition
  bench threads                hits per second with 1 to 512 threads; exact counts
  bench idle                   what a program loses to what is attached and does little
  bench index                  the time to find a line in a large program: lr, gdb and lldb
  bench attach                 the longest gap that a running thread sees: lr, gdb and nothing
  bench kill [--rounds N]      what becomes of a target whose agent, tracer or gdb is killed
  fuzz [TARGET] [--for SECONDS]
                               hostile input to the parsers, a minute for each; needs cargo-fuzz
  fidelity [--stops N] [PROGRAM…]
                               values and stacks in cores of programs, lr and gdb compared: of
                               known programs by name, of command lines, or of all that are known
  fidelity --poison [PROGRAM…] whether programs miss what is in variables that are not live yet
  realworld                    redis from Debian's source, under its own load
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["demo"] => demo::run(),
        ["setup"] => setup::run(),
        ["test", arguments @ ..] => test::run(arguments),
        ["install"] => install::run(None),
        ["install", "--prefix", folder] => install::run(Some(folder)),
        ["bench", "hit"] => bench::hit(),
        ["bench", "actions"] => bench::actions(),
        ["bench", "idle"] => bench::idle(),
        ["bench", "threads"] => bench::threads(),
        ["bench", "index"] => bench::index(),
        ["bench", "attach"] => bench::attach(),
        ["bench", "kill"] => bench::kill(200),
        ["bench", "kill", "--rounds", rounds] => number("--rounds", rounds).and_then(bench::kill),
        ["fuzz"] => fuzz::run(None, None),
        ["fuzz", target] => fuzz::run(Some(target), None),
        ["fuzz", target, "--for", seconds] => fuzz::run(Some(target), Some(seconds)),
        ["fuzz", "--for", seconds] => fuzz::run(None, Some(seconds)),
        ["fidelity", "--poison", programs @ ..] => fidelity::poison(60, programs),
        ["fidelity", "--stops", stops, programs @ ..] => {
            number("--stops", stops).and_then(|stops| fidelity::run(stops, programs))
        }
        ["fidelity", programs @ ..] => fidelity::run(300, programs),
        ["realworld"] => realworld::run(),
        ["help" | "-h" | "--help"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn number<N: FromStr<Err = ParseIntError>>(option: &str, text: &str) -> Result<N> {
    text.parse().with_context(|| format!("{option} {text}"))
}
