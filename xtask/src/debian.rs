//! Debian's source packages, as the host's own lists of packages have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::interrupt;

/// The folder with a package's source in a folder of ours, fetched if need be.
pub(crate) fn source(package: &str, cache: &Path) -> Result<PathBuf> {
    fs::create_dir_all(cache).with_context(|| format!("creating {}", cache.display()))?;
    if let Some(there) = unpacked(package, cache)? {
        return Ok(there);
    }
    fetch(package, cache)?;
    unpacked(package, cache)?.with_context(|| format!("apt-get source {package} unpacked nothing"))
}

fn unpacked(package: &str, cache: &Path) -> Result<Option<PathBuf>> {
    let begin = format!("{package}-");
    for entry in fs::read_dir(cache)? {
        let path = entry?.path();
        let is_it = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(&begin);
        if path.is_dir() && path.file_name().is_some_and(is_it) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// `apt-get source` with the host's own sources, but of the other type, and with state and cache
/// of our own: nothing of the host's apt is changed, and no right is needed.
fn fetch(package: &str, cache: &Path) -> Result<()> {
    let apt = cache.join("apt");
    for folder in ["lists/partial", "archives/partial", "sources.list.d"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    let mut lines = String::new();
    for path in apt_sources()? {
        let text = fs::read_to_string(&path)?;
        if path
            .extension()
            .is_some_and(|extension| extension == "sources")
        {
            let name = path.file_name().expect("it is a file");
            let text = text.lines().map(|line| {
                if line.starts_with("Types:") {
                    "Types: deb-src"
                } else {
                    line
                }
            });
            fs::write(
                apt.join("sources.list.d").join(name),
                text.collect::<Vec<_>>().join("\n"),
            )?;
        } else {
            for line in text.lines() {
                if let Some(rest) = line.strip_prefix("deb ") {
                    lines.push_str(&format!("deb-src {rest}\n"));
                }
            }
        }
    }
    fs::write(apt.join("sources.list"), lines)?;
    let get = |arguments: &[&str]| {
        let option = |name: &str, place: &str| format!("{name}={}", apt.join(place).display());
        let mut get = Command::new("apt-get");
        get.current_dir(cache);
        for option in [
            option("Dir::Etc::sourcelist", "sources.list"),
            option("Dir::Etc::sourceparts", "sources.list.d"),
            option("Dir::State::lists", "lists"),
            option("Dir::Cache", "."),
            option("Dir::Cache::archives", "archives"),
            // `_apt` cannot write into a folder of ours.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            get.args(["-o", &option]);
        }
        get.args(arguments).stdout(Stdio::null());
        get
    };
    // A host's further repositories often have no sources; that they fail is no matter.
    let _ = interrupt::run(get(&["update", "--quiet"]).stderr(Stdio::null()))?;
    let status = interrupt::run(&mut get(&["source", "--quiet", package]))?;
    ensure!(
        status.success(),
        "apt-get source {package} ended with {status}"
    );
    Ok(())
}

/// The host's lists of package sources that are Debian's.
fn apt_sources() -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let list = PathBuf::from("/etc/apt/sources.list");
    if list.is_file() {
        paths.push(list);
    }
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        for entry in entries {
            let path = entry?.path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if text.contains("debian") {
                paths.push(path);
            }
        }
    }
    if paths.is_empty() {
        bail!("no sources of Debian packages in /etc/apt");
    }
    Ok(paths)
}
