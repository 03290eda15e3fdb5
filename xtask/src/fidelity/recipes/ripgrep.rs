use std::process::Command;

use anyhow::{Result, ensure};

use super::kept;
use crate::fidelity::program::Program;
use crate::{build, folders, interrupt};

const VERSION: &str = "15.2.0";

/// A Rust program in release, with threads.
pub(super) fn recipe() -> Result<Program> {
    let folder = kept("ripgrep")?;
    let built = folder.join("bin/rg");
    if !built.is_file() {
        eprintln!("building ripgrep from crates.io");
        let mut cargo: Command = build::cargo();
        cargo
            .args(["install", "--locked", "--quiet", "ripgrep"])
            .args(["--version", VERSION, "--root"])
            .arg(&folder)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .env("CARGO_PROFILE_RELEASE_DEBUG", "full")
            .env("CARGO_PROFILE_RELEASE_STRIP", "none");
        let status = interrupt::run(&mut cargo)?;
        ensure!(status.success(), "building ripgrep ended with {status}");
    }
    let mut program = Program::new("ripgrep", &built);
    let root = folders::root();
    program.commands = [
        "-j2 -n --stats --heading --color always '(fn|struct) [a-z_]+' dwarf xtask",
        "--json -C2 -i 'unwind(er)?|frame' dwarf/src",
        "-U --multiline-dotall --replace '$1!' 'impl.*?(for)' dwarf/src/value",
        "--files --hidden -g '!*.toml' -trust --sort path",
        "--type-list",
        "-j2 -c --max-count 3 -w --pre-glob '*.x' '[[:alpha:]]{3,}\\d?' docs",
        "-l -v --no-ignore --max-depth 3 -e abc -e 'x+y*' -f README.md .",
        "-o -b --vimgrep --trim '\\b\\w+(ing|ed)\\b' docs",
        "--debug --encoding utf-16 -a word docs",
        "-j1 --no-mmap --passthru --crlf --null 'error|panic' agent/src",
        "--help",
    ]
    .map(str::to_owned)
    .to_vec();
    program.repeatable = [
        "--sort path -n '(fn|struct) [a-z_]+' dwarf/src",
        "--sort path --json -C2 -i 'unwind(er)?|frame' fixtures",
        "--sort path -U --multiline-dotall --replace '$1!' 'impl.*?(for)' dwarf/src/value",
    ]
    .map(str::to_owned)
    .to_vec();
    program.folder = root.to_owned();
    Ok(program)
}
