//! The programs that are known by name: fetched, built and given something to do.

mod cppcheck;
mod own;
mod redis;
mod ripgrep;
mod zstd;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::program::Program;
use crate::folders;

pub(super) type Recipe = fn() -> Result<Program>;

/// Every program that is known, in the order of the table.
pub(super) const ALL: [(&str, Recipe); 18] = [
    ("redis", redis::plain),
    ("redis-split", redis::split),
    ("redis-dwz", redis::dwz),
    ("zstd-clang", zstd::recipe),
    ("cppcheck", cppcheck::recipe),
    ("ripgrep", ripgrep::recipe),
    ("values.c", own::values_c),
    ("values.c-O0", own::values_c_unoptimised),
    ("values.cpp", own::values_cpp),
    ("values.cpp-O0", own::values_cpp_unoptimised),
    ("values.rs", own::values_rs),
    ("values.rs-O0", own::values_rs_unoptimised),
    ("containers.cpp", own::containers_cpp),
    ("containers.cpp-O0", own::containers_cpp_unoptimised),
    ("collections.rs-O0", own::collections_rs),
    ("owners.rs-O0", own::owners_rs),
    ("frames.c-split", own::frames_split),
    ("frames.c-clang", own::frames_clang),
];

pub(super) fn named(name: &str) -> Option<Recipe> {
    let known = ALL.iter().find(|(known, _)| *known == name)?;
    Some(known.1)
}

/// A folder that is kept between runs.
fn kept(name: &str) -> Result<PathBuf> {
    let folder = folders::cache()?.join("fidelity").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}
