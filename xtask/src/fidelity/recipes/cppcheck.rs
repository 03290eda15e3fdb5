use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::kept;
use crate::fidelity::program::Program;
use crate::{debian, interrupt};

/// C++ that is full of containers: lists, maps, sets, shared pointers, functions. With threads.
pub(super) fn recipe() -> Result<Program> {
    let source = debian::source("cppcheck", &kept("cppcheck")?)?;
    let built = source.join("cppcheck");
    if !built.is_file() {
        eprintln!("building cppcheck from Debian's source package (some minutes)");
        let mut make = Command::new("make");
        make.arg("-j2")
            .arg("-C")
            .arg(&source)
            .args(["CXXFLAGS=-O2 -g -w -DUSE_THREADS -pthread", "USE_Z3=no"])
            .args(["LDFLAGS=-pthread", "HAVE_RULES=no", "cppcheck"])
            .stdout(Stdio::null());
        let status = interrupt::run(&mut make)?;
        ensure!(status.success(), "building cppcheck ended with {status}");
    }
    let mut program = Program::new("cppcheck", &built);
    program.commands = vec![
        "-j2 --enable=all --inconclusive --force samples".to_owned(),
        "--enable=all --inconclusive --xml lib/path.cpp lib/timer.cpp".to_owned(),
        "-j2 --enable=all --std=c++11 --verbose cli/filelister.cpp lib/color.cpp".to_owned(),
        "--enable=all --library=posix --platform=unix64 test/cfg/posix.c".to_owned(),
        "--enable=all --debug --library=std test/cfg/std.cpp".to_owned(),
        "--doc".to_owned(),
    ];
    program.repeatable = vec![
        "--enable=all --inconclusive --quiet samples".to_owned(),
        "--enable=all --quiet --xml cli/filelister.cpp lib/color.cpp".to_owned(),
    ];
    program.folder = source;
    Ok(program)
}
