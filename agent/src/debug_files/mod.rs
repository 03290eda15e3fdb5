//! Where debug files of modules come from: the target's file systems, this machine's, and, where
//! `DEBUGINFOD_URLS` is set, servers that have them by build-id.

mod cache;
mod debuginfod;
mod settings;

use std::io::Write;

use lr_dwarf::DebugFiles;

pub(crate) use debuginfod::Asking;
use debuginfod::Debuginfod;
use settings::Settings;

use crate::client::Invoker;

/// For the modules of a process. Servers are asked for those that a user asks about, and not for
/// each library that a process happens to have: files are large.
pub(crate) fn of_process(pid: u32, asking: Asking) -> DebugFiles {
    with_servers(DebugFiles::in_target(pid), asking)
}

/// For files of this machine.
pub(crate) fn of_host() -> DebugFiles {
    with_servers(DebugFiles::host(), Asking::Servers)
}

fn with_servers(files: DebugFiles, asking: Asking) -> DebugFiles {
    if std::env::var_os("DEBUGINFOD_URLS").is_none() {
        return files;
    }
    let Ok(invoker) = Invoker::of_this_process() else {
        return files;
    };
    match Settings::from_env(&invoker) {
        Some(settings) => files.fetch(Box::new(Debuginfod::new(settings, asking, tell))),
        None => files,
    }
}

/// On standard error, as the reading of debug info is told about.
fn tell(text: &str) {
    // Nobody may be reading that any more.
    let _ = writeln!(std::io::stderr(), "fetching {text}");
}
