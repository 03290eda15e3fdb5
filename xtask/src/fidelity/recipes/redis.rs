use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::kept;
use crate::command;
use crate::fidelity::program::Program;
use crate::redis::{self, Form};

/// Commands of each kind that redis has.
const COMMANDS: &str = include_str!("redis.txt");
const SPLIT: Form = Form {
    folder: "realworld-split",
    debug: "-g -gsplit-dwarf",
};

/// A large C program with threads of its own.
pub(super) fn plain() -> Result<Program> {
    let programs = redis::build(redis::PLAIN)?;
    served("redis", &programs, &programs.join("redis-server"))
}

/// With its debug info in `.dwo` files.
pub(super) fn split() -> Result<Program> {
    let programs = redis::build(SPLIT)?;
    served("redis-split", &programs, &programs.join("redis-server"))
}

/// With debug info that dwz made smaller, what two programs share in a file of its own.
pub(super) fn dwz() -> Result<Program> {
    let programs = redis::build(redis::PLAIN)?;
    let folder = kept("redis-dwz")?;
    let server = folder.join("redis-server");
    if !server.is_file() {
        let shared = folder.join("shared.debug");
        let mut small = Vec::new();
        for name in ["redis-server", "redis-cli"] {
            small.push(folder.join(format!("{name}.new")));
            fs::copy(programs.join(name), folder.join(format!("{name}.new")))?;
        }
        let mut dwz = Command::new("dwz");
        dwz.arg("-m").arg(&shared).arg("-M").arg(&shared);
        command::run(dwz.args(&small))?;
        fs::rename(&small[0], &server)?;
    }
    served("redis-dwz", &programs, &server)
}

/// A server on a socket, and a client that gives it each command and ends it.
fn served(name: &str, programs: &Path, server: &Path) -> Result<Program> {
    let folder = kept("redis")?;
    let commands = folder.join("commands.txt");
    fs::write(&commands, COMMANDS)?;
    let socket = folder.join("redis.sock");
    let cli = format!(
        "{} -s {}",
        programs.join("redis-cli").display(),
        socket.display()
    );
    let mut program = Program::new(name, server);
    program.commands = vec![format!(
        "--port 0 --unixsocket {} --save '' --enable-debug-command yes --loglevel debug \
         --io-threads 2 --io-threads-do-reads yes --maxmemory 100mb \
         --maxmemory-policy allkeys-lfu --lazyfree-lazy-user-del yes",
        socket.display()
    )];
    program.load = Some(format!(
        "until {cli} ping; do sleep 0.1; done; {cli} < {}; {cli} shutdown nosave",
        commands.display()
    ));
    program.folder = folder;
    Ok(program)
}
