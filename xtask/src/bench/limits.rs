use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{command, folders};

/// Compiles a program of `xtask/limits`, which do what the kernel allows and nothing else.
pub(super) fn compile(name: &str) -> Result<PathBuf> {
    let folder = folders::target().join("limits");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join(name);
    let source = folders::root()
        .join("xtask/limits")
        .join(name)
        .with_extension("c");
    let mut gcc = Command::new("gcc");
    command::run(gcc.args(["-O2", "-o"]).arg(&program).arg(source))?;
    Ok(program)
}
