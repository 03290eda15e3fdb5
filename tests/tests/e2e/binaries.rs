use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder with the `lr` and the `lr-server` that belong to this test binary: same target
/// folder, same profile. Built once if they are not current.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // <target>/<profile>/deps/e2e-<hash>
        let own = std::env::current_exe().expect("/proc is mounted");
        let folder = own
            .ancestors()
            .nth(2)
            .expect("cargo builds tests three folders deep")
            .to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "-p", "lr-cli", "-p", "lr-server"])
            .arg("--target-dir")
            .arg(
                folder
                    .parent()
                    .expect("a profile's folder is in the target folder"),
            )
            .current_dir(root());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "building lr and lr-server failed");
        folder
    })
}

pub(crate) fn lr() -> PathBuf {
    folder().join("lr")
}

pub(crate) fn lr_server() -> PathBuf {
    folder().join("lr-server")
}

/// The root of the clone.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is a folder of the workspace")
}
