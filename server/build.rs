//! Tells the linker where the DuckDB library is found at run time, and says what to do if it has
//! not been set up.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    println!("cargo:rerun-if-env-changed=LR_INSTALL");
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_BUNDLED").is_some() {
        return;
    }
    let folder = library_folder();
    println!(
        "cargo:rerun-if-changed={}",
        folder.join("libduckdb.so").display()
    );
    if !folder.join("libduckdb.so").exists() {
        eprintln!("DuckDB is not set up: run `cargo xtask setup`");
        std::process::exit(1);
    }
    // An installed binary finds the library beside itself and must not look at the place where it
    // was built, which may be anybody's by then.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/lr");
    if env::var_os("LR_INSTALL").is_none_or(|value| value != "1") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}

fn library_folder() -> PathBuf {
    let folder = env::var_os("DUCKDB_LIB_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.duckdb"),
        PathBuf::from,
    );
    folder.canonicalize().unwrap_or(folder)
}
