//! redis from Debian's source package, built by its own makefile.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::{debian, folders, interrupt};

const PROGRAMS: [&str; 3] = ["redis-server", "redis-benchmark", "redis-cli"];

/// How redis is compiled: where it is kept, and the compiler's options for debug info.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) folder: &'static str,
    pub(crate) debug: &'static str,
}

pub(crate) const PLAIN: Form = Form {
    folder: "realworld",
    debug: "-g",
};

/// The folder with redis's programs, built at `-O2` if need be.
pub(crate) fn build(form: Form) -> Result<PathBuf> {
    let cache = folders::cache()?.join(form.folder);
    let source = debian::source("redis", &cache)?.join("src");
    if PROGRAMS.iter().all(|name| source.join(name).is_file()) {
        return Ok(source);
    }
    eprintln!("building redis from Debian's source package (some minutes)");
    let mut make = Command::new("make");
    make.arg("-j2")
        .arg("-C")
        .arg(&source)
        // Debian's package uses the libraries of the system, which need not be here.
        .args(["MALLOC=libc", "USE_SYSTEMD=no", "OPTIMIZATION=-O2"])
        .arg(format!("DEBUG={}", form.debug))
        .args(PROGRAMS)
        .stdout(Stdio::null());
    let status = interrupt::run(&mut make)?;
    ensure!(status.success(), "building redis ended with {status}");
    Ok(source)
}
