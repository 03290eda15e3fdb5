use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::{self, Purpose};
use crate::{command, folders};

/// Puts the programs under a prefix, `~/.local` unless said, where they work from any folder.
pub(crate) fn run(prefix: Option<&str>) -> Result<()> {
    let prefix = match prefix {
        Some(folder) => std::path::absolute(folder)?,
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".local"),
    };
    let programs = build::release(Purpose::Install)?;
    let (bin, lib) = (prefix.join("bin"), prefix.join("lib/lr"));
    // The library first: a program that is there always finds it.
    let library = folders::root().join(".duckdb/libduckdb.so");
    replace(&library, &lib.join("libduckdb.so"))?;
    replace(&programs.lr_server, &bin.join("lr-server"))?;
    replace(&programs.lr, &bin.join("lr"))?;

    for program in ["lr", "lr-server"] {
        let version = command::output(
            Command::new(bin.join(program))
                .arg("version")
                .current_dir("/")
                .env_remove("LD_LIBRARY_PATH"),
        )
        .with_context(|| format!("{program} does not start where it was installed"))?;
        ensure!(!version.trim().is_empty(), "{program} has no version");
        println!("{}: {}", bin.join(program).display(), version.trim());
    }
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder == bin));
    if !on_path {
        println!("{} is not in PATH; add it:", bin.display());
        println!("  export PATH=\"{}:$PATH\"", bin.display());
    }
    Ok(())
}

/// Copies a file beside its place and renames it: a program that runs keeps its old file, and one
/// that starts meanwhile gets the old or the new one.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().expect("it is in the prefix");
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let name = to.file_name().expect("it is a file").to_string_lossy();
    let fresh = folder.join(format!(".{name}.{}", std::process::id()));
    let outcome = fs::copy(from, &fresh).and_then(|_| fs::rename(&fresh, to));
    if outcome.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    outcome.with_context(|| format!("installing {}", to.display()))
}
