//! What users call modules by, and what some are recognised by.

use crate::locate::file_name;

/// What the kernel maps into every process (vdso(7)); it has no file.
pub(super) const VDSO: &str = "[vdso]";
const DELETED: &str = " (deleted)";

/// Whether these are the last components of a path. Of a library the version behind `.so` may be
/// left out, and all behind the first dot, as of `_json.cpython-311-x86_64-linux-gnu.so`.
pub(crate) fn is_called(path: &str, suffix: &str) -> bool {
    if suffix.is_empty() {
        return false;
    }
    let path = path.strip_suffix(DELETED).unwrap_or(path);
    let ends = |path: &str| {
        path.strip_suffix(suffix)
            .is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    let unversioned = path
        .find(".so.")
        .map_or(path, |at| &path[..at + ".so".len()]);
    let stem = file_name(unversioned).split_once('.').map(|(stem, _)| stem);
    let is_library = unversioned.ends_with(".so");
    ends(path)
        || ends(unversioned)
        || ends(unversioned.trim_end_matches(".so"))
        || is_library && stem == Some(suffix)
}

/// glibc's `libc.so.6`, `libc-2.31.so` of earlier ones, and musl's. Not `libc-client.so`, which a
/// program may load and unload.
pub(super) fn is_c_library(file: &str) -> bool {
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    file == "libc.so"
        || file.strip_prefix("libc.so.").is_some_and(is_version)
        || file.strip_prefix("libc-").is_some_and(is_version)
        || file.starts_with("ld-musl-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_called_by_the_end_of_their_path() {
        assert!(is_called("/usr/lib/libpq.so.5.15", "libpq.so.5.15"));
        assert!(is_called("/usr/lib/libpq.so.5.15", "libpq.so"));
        assert!(is_called("/usr/lib/libpq.so.5.15", "libpq"));
        assert!(is_called("/usr/lib/libpq.so.5.15", "lib/libpq.so"));
        assert!(is_called("/srv/orders (deleted)", "orders"));
        assert!(is_called(
            "/x/_json.cpython-311-x86_64-linux-gnu.so",
            "_json"
        ));
        assert!(!is_called("/x/.so", ""));
        assert!(!is_called("/x/orders.v2", "orders"));
        assert!(!is_called("/usr/lib/libpq.so.5.15", "pq.so"));
        assert!(!is_called("/usr/lib/libpq.so.5.15", "libp"));
    }

    #[test]
    fn only_the_c_library_itself_is_taken_for_it() {
        for file in [
            "libc.so.6",
            "libc-2.31.so",
            "ld-musl-x86_64.so.1",
            "libc.so",
        ] {
            assert!(is_c_library(file), "{file}");
        }
        for file in ["libc-client.so.2007e", "libc.so.conf", "libcap.so.2", ""] {
            assert!(!is_c_library(file), "{file}");
        }
    }
}
