//! The project's own commands: `cargo xtask setup`, `demo`, `test`, `bench`, `install` and
//! `realworld`.
//!
//! Constraints, and what follows from them:
//! - It runs before anything is set up, so it links neither DuckDB nor a crate that does; `lr` and
//!   `lr-server` are built and run as programs.
//! - A second run is quick: whatever was fetched or built is kept under its checksum or version.
//! - It leaves nothing running and changes nothing outside the clone, the cache folder and the
//!   prefix that it was given; only `test` installs Debian packages, and only as root.

mod command;
mod folders;
mod setup;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <command>

  setup                        fetch the DuckDB library that the server links
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["setup"] => setup::run(),
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
