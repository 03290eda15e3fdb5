use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::Invoker;

/// How long a server may take without sending anything worth mentioning, unless
/// `DEBUGINFOD_TIMEOUT` says otherwise (debuginfod_find_debuginfo(3)).
const TIMEOUT: Duration = Duration::from_secs(90);
/// The most bytes of a file, unless `DEBUGINFOD_MAXSIZE` says otherwise. elfutils has no limit.
const MAX_SIZE: u64 = 4 << 30;

/// What the environment says about debuginfod, with the names of elfutils' own client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Settings {
    /// In the order in which they are asked.
    pub(super) servers: Vec<String>,
    pub(super) cache: PathBuf,
    pub(super) timeout: Duration,
    /// In bytes.
    pub(super) max_size: u64,
    /// Whose the cache is, where that is not this process's user: uid and gid.
    pub(super) owner: Option<(u32, u32)>,
}

impl Settings {
    /// `None` unless the user asked for servers.
    pub(super) fn from_env(invoker: &Invoker) -> Option<Settings> {
        Settings::read(invoker, |name| std::env::var_os(name))
    }

    fn read(invoker: &Invoker, variable: impl Fn(&str) -> Option<OsString>) -> Option<Settings> {
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let servers: Vec<String> = text("DEBUGINFOD_URLS")?
            .split_ascii_whitespace()
            // elfutils has words for its checks of signatures among them.
            .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
            .map(|url| url.trim_end_matches('/').to_owned())
            .collect();
        if servers.is_empty() {
            return None;
        }
        let directory = |name: &str| {
            let path = variable(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let cache = directory("DEBUGINFOD_CACHE_PATH")
            .or_else(|| Some(directory("XDG_CACHE_HOME")?.join("debuginfod_client")))
            .unwrap_or_else(|| invoker.home.join(Path::new(".cache/debuginfod_client")));
        let number = |name: &str| text(name)?.parse::<u64>().ok().filter(|&number| number > 0);
        Some(Settings {
            servers,
            cache,
            timeout: number("DEBUGINFOD_TIMEOUT").map_or(TIMEOUT, Duration::from_secs),
            max_size: number("DEBUGINFOD_MAXSIZE").unwrap_or(MAX_SIZE),
            owner: invoker.through_sudo.then_some((invoker.uid, invoker.gid)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Option<Settings> {
        let invoker = Invoker {
            uid: 1000,
            gid: 1000,
            name: "ann".to_owned(),
            home: PathBuf::from("/home/ann"),
            through_sudo: true,
        };
        let variables = variables.to_vec();
        Settings::read(&invoker, |wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn servers_are_opt_in() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("DEBUGINFOD_URLS", "")]), None);
        assert_eq!(read(&[("DEBUGINFOD_URLS", "ima:enforcing ftp://a")]), None);
        let settings = read(&[("DEBUGINFOD_URLS", "https://a/ http://b:8002/x ")]).unwrap();
        assert_eq!(settings.servers, ["https://a", "http://b:8002/x"]);
        assert_eq!(
            settings.cache,
            Path::new("/home/ann/.cache/debuginfod_client")
        );
        assert_eq!(settings.owner, Some((1000, 1000)));
        assert_eq!(settings.timeout, TIMEOUT);
    }

    #[test]
    fn limits_and_the_cache_are_where_elfutils_has_them() {
        let urls = ("DEBUGINFOD_URLS", "http://a");
        let xdg = ("XDG_CACHE_HOME", "/c");
        let settings = read(&[urls, xdg]).unwrap();
        assert_eq!(settings.cache, Path::new("/c/debuginfod_client"));
        let own = ("DEBUGINFOD_CACHE_PATH", "/d");
        let settings = read(&[
            urls,
            xdg,
            own,
            ("DEBUGINFOD_TIMEOUT", "7"),
            ("DEBUGINFOD_MAXSIZE", "99"),
        ])
        .unwrap();
        assert_eq!(settings.cache, Path::new("/d"));
        assert_eq!(settings.timeout, Duration::from_secs(7));
        assert_eq!(settings.max_size, 99);
    }
}
