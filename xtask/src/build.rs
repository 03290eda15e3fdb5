use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use lr_fixtures::Fixture;

use crate::{command, folders, setup};

/// The programs, built in release.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) lr: PathBuf,
    pub(crate) lr_server: PathBuf,
}

/// For whom programs are built, which is where they look for the DuckDB library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To run where they were built: they know `.duckdb`.
    Here,
    /// To be copied: they know only `../lib/lr`.
    Install,
}

/// Sets up what is missing and builds in release.
pub(crate) fn release(purpose: Purpose) -> Result<Programs> {
    setup::run()?;
    let mut cargo = cargo();
    cargo.args(["build", "--release", "-p", "lr-cli", "-p", "lr-server"]);
    match purpose {
        Purpose::Here => cargo.env_remove("LR_INSTALL"),
        Purpose::Install => cargo.env("LR_INSTALL", "1"),
    };
    command::run(&mut cargo)?;
    let folder = folders::target().join("release");
    Ok(Programs {
        lr: folder.join("lr"),
        lr_server: folder.join("lr-server"),
    })
}

/// A cargo command in the clone.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folders::root());
    cargo
}

/// A compiled fixture.
pub(crate) fn fixture(fixture: &Fixture) -> Result<PathBuf> {
    match fixture.try_build() {
        Ok(path) => Ok(path),
        Err(message) => bail!("{message}"),
    }
}
