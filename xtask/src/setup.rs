use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{command, folders};

/// The npm package that carries `libduckdb.so` of the version that the `duckdb` crate binds
/// (crate 1.10506 is DuckDB 1.5.6), with json, parquet and icu inside.
const PACKAGE: &str = "@duckdb/node-bindings-linux-x64@1.5.6-r.1";
const TARBALL: &str = "duckdb-node-bindings-linux-x64-1.5.6-r.1.tgz";
const TARBALL_SHA256: &str = "1b9f82478539bb9a1d1df44bd103121a12ae52142c07158dc52b97d2ec1d69ff";
const LIBRARY: &str = "libduckdb.so";
/// Says which tarball the library beside it came from.
const STAMP: &str = "source.sha256";

/// Puts the DuckDB library into `.duckdb/`, where the server's build looks for it.
pub(crate) fn run() -> Result<()> {
    let folder = folders::root().join(".duckdb");
    if is_current(&folder) {
        return Ok(());
    }
    let tarball = tarball()?;
    extract(&tarball, &folder)?;
    eprintln!("DuckDB is set up in {}", folder.display());
    Ok(())
}

fn is_current(folder: &Path) -> bool {
    folder.join(LIBRARY).is_file()
        && fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp.trim() == TARBALL_SHA256)
}

/// The package's tarball in the cache, fetched if it is not there, its checksum compared.
fn tarball() -> Result<PathBuf> {
    let cache = folders::cache()?;
    let kept = cache.join(TARBALL);
    if kept.is_file() && sha256(&kept)? == TARBALL_SHA256 {
        return Ok(kept);
    }
    if !command::exists("npm") {
        bail!(
            "npm is missing, and the DuckDB library comes as an npm package.\n\
             Install it (Debian: apt install npm), or put the file yourself:\n  \
             {} with sha256 {TARBALL_SHA256}\n  as {}",
            PACKAGE,
            kept.display()
        );
    }
    eprintln!("fetching {PACKAGE} (about 25 MB)");
    // Its own folder, so that two set-ups at once do not write one file, on the cache's file
    // system, so that the last step is a rename.
    let fetched = cache.join(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&fetched).with_context(|| format!("creating {}", fetched.display()))?;
    let outcome = fetch(&fetched, &kept);
    // What is left there is of no use to anybody; that it stays would not be an error.
    let _ = fs::remove_dir_all(&fetched);
    outcome?;
    Ok(kept)
}

fn fetch(folder: &Path, kept: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--pack-destination"])
        .arg(folder)
        .arg(PACKAGE)
        .current_dir(folder);
    command::output(&mut npm).context("fetching DuckDB from the npm registry")?;
    let tarball = folder.join(TARBALL);
    let found = sha256(&tarball)?;
    if found != TARBALL_SHA256 {
        bail!("{PACKAGE} has sha256 {found}, expected {TARBALL_SHA256}; nothing was installed");
    }
    fs::rename(&tarball, kept).with_context(|| format!("keeping {}", kept.display()))
}

/// Puts the library in place by a rename: a build that runs meanwhile sees the old or the new one.
fn extract(tarball: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let unpacked = folder.join(format!("unpack-{}", std::process::id()));
    fs::create_dir_all(&unpacked).with_context(|| format!("creating {}", unpacked.display()))?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf")
        .arg(tarball)
        .arg("-C")
        .arg(&unpacked)
        .args(["--strip-components=1", "--no-same-owner", "--touch"])
        .arg(format!("package/{LIBRARY}"));
    let outcome = command::run(&mut tar).and_then(|()| {
        fs::rename(unpacked.join(LIBRARY), folder.join(LIBRARY))?;
        fs::write(folder.join(STAMP), TARBALL_SHA256)?;
        Ok(())
    });
    let _ = fs::remove_dir_all(&unpacked);
    outcome.with_context(|| format!("unpacking {}", tarball.display()))
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let digest = Sha256::digest(&bytes);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
