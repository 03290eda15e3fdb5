use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;

/// A program, or a file by its path, and the Debian packages that have it.
type Needed = (&'static str, &'static str);

/// What the tests start.
pub(crate) const TESTS: [Needed; 12] = [
    ("gcc", "gcc libc6-dev"),
    ("g++", "g++"),
    // The debug files of the C library come with what would not be there either.
    ("dwz", "dwz libc6-dbg"),
    ("clang-14", "clang-14"),
    (
        "/usr/lib/llvm-14/include/c++/v1/vector",
        "libc++-14-dev libc++abi-14-dev",
    ),
    ("gcore", "gdb"),
    ("python3.11-dbg", "python3.11 python3.11-dbg"),
    ("dwp", "binutils"),
    ("debuginfod", "debuginfod"),
    ("setpriv", "util-linux"),
    ("xz", "xz-utils"),
    ("npm", "npm"),
];

/// What benchmarks compare with.
pub(crate) const BENCH: [Needed; 2] = [("gcc", "gcc libc6-dev"), ("gdb", "gdb")];

/// The same for attaching.
pub(crate) const BENCH_ATTACH: [Needed; 3] =
    [("gcc", "gcc libc6-dev"), ("gdb", "gdb"), ("lldb", "lldb")];

/// What the benchmark of the index builds and compares with.
pub(crate) const BENCH_INDEX: [Needed; 4] = [
    ("g++", "g++"),
    ("gdb", "gdb"),
    ("objcopy", "binutils"),
    ("lldb", "lldb"),
];

/// What builds a program from Debian's source.
pub(crate) const REALWORLD: [Needed; 3] = [
    ("gcc", "gcc libc6-dev"),
    ("make", "make"),
    ("dpkg-source", "dpkg-dev"),
];

/// What builds the programs in which lr and gdb are compared.
pub(crate) const FIDELITY: [Needed; 8] = [
    ("gcc", "gcc libc6-dev"),
    ("g++", "g++"),
    ("clang-14", "clang-14"),
    ("make", "make"),
    ("dwz", "dwz"),
    ("nm", "binutils"),
    ("dpkg-source", "dpkg-dev"),
    ("gdb", "gdb"),
];

/// Installs what is missing if we are root; otherwise the error is the line that would.
pub(crate) fn need(needed: &[Needed]) -> Result<()> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(wanted, _)| match wanted.starts_with('/') {
            true => !Path::new(wanted).exists(),
            false => !command::exists(wanted),
        })
        .flat_map(|(_, packages)| packages.split(' '))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = ["install", "--yes", "--no-install-recommends"];
    if !nix::unistd::geteuid().is_root() || !command::exists("apt-get") {
        bail!(
            "missing: {}\nInstall it: sudo apt-get {} {}",
            missing.join(" "),
            install.join(" "),
            missing.join(" ")
        );
    }
    command::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    command::run(
        Command::new("apt-get")
            .args(install)
            .args(missing)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}
