//! What is kept of debug info between runs, and what is told while it is read.

use std::io::Write;
use std::path::{Path, PathBuf};

use lr_dwarf::{Binary, IndexCache};

use crate::client::Invoker;

/// The binary with the invoking user's cache of indexes, telling on standard error how far it is
/// when reading takes more than half a second.
pub(crate) fn indexed(binary: Binary) -> Binary {
    let name = binary.name().file_name().unwrap_or_default();
    // The name may be a target's.
    let name = name.to_string_lossy().escape_debug().to_string();
    let binary = binary.with_progress(move |percent| {
        // Nobody may be reading that any more.
        let _ = writeln!(
            std::io::stderr(),
            "reading debug info of {name}: {percent} %"
        );
    });
    match Invoker::of_this_process() {
        Ok(invoker) => binary.with_cache(cache(&invoker, std::env::var_os("XDG_CACHE_HOME"))),
        Err(_) => binary,
    }
}

/// `$XDG_CACHE_HOME/lr/index`, else `~/.cache/lr/index`, of the user who typed it.
fn cache(invoker: &Invoker, xdg: Option<std::ffi::OsString>) -> IndexCache {
    // The XDG base directory specification has relative paths ignored.
    let base = match xdg.map(PathBuf::from).filter(|xdg| xdg.is_absolute()) {
        Some(xdg) => xdg,
        None => invoker.home.join(Path::new(".cache")),
    };
    let cache = IndexCache::new(base.join("lr/index"));
    match invoker.through_sudo {
        true => cache.owned_by(invoker.uid, invoker.gid),
        false => cache,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_the_invokers() {
        let mut invoker = Invoker {
            uid: 1000,
            gid: 100,
            name: "ada".to_owned(),
            home: PathBuf::from("/home/ada"),
            through_sudo: true,
        };
        let at = |path: &str| IndexCache::new(PathBuf::from(path));
        let expected = at("/home/ada/.cache/lr/index").owned_by(1000, 100);
        assert_eq!(cache(&invoker, Some("relative".into())), expected);
        invoker.through_sudo = false;
        assert_eq!(cache(&invoker, Some("/c".into())), at("/c/lr/index"));
    }
}
