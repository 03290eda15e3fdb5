use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use lr_dwarf::{Binary, DebugFiles, Fetch};
use nix::unistd::{Gid, Uid};
use ureq::Agent;
use ureq::http::StatusCode;

use super::cache::{Cache, Known};
use super::settings::Settings;

/// From when on a download is told about, and how often.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a server has to send within the time-out to be worth waiting for, as elfutils asks.
const LEAST_PROGRESS: u64 = 100 << 10;

/// Whether servers are asked, or only what they sent before is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asking {
    Servers,
    CacheOnly,
}

/// A client of debuginfod servers (debuginfod(8), "WEBAPI").
///
/// Files are kept where elfutils keeps them, so that gdb finds what `lr` fetched and the other way
/// round. All of it is done with the file system identity of the user who started us: root does
/// not write where somebody else may put a link.
pub(super) struct Debuginfod {
    settings: Settings,
    asking: Asking,
    tell: fn(&str),
}

impl Debuginfod {
    pub(super) fn new(settings: Settings, asking: Asking, tell: fn(&str)) -> Debuginfod {
        Debuginfod {
            settings,
            asking,
            tell,
        }
    }

    fn find(&self, build_id: &[u8]) -> Result<Option<File>, String> {
        let id: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let cache = Cache::new(&self.settings.cache);
        match cache.known(&id) {
            Known::File(file) if has_build_id(&file, build_id) => return Ok(Some(file)),
            Known::Nowhere => return Ok(None),
            // What is broken is fetched again.
            Known::File(_) | Known::Nothing => {}
        }
        if self.asking == Asking::CacheOnly {
            return Err("not asked for a module that is not named, as in `libx.so!f`".to_owned());
        }
        let mut wrong = Vec::new();
        for server in &self.settings.servers {
            match self.receive(server, &id, build_id, &cache) {
                Ok(Some(file)) => return Ok(Some(file)),
                Ok(None) => {}
                Err(why) => wrong.push(format!("{}: {why}", host_of(server))),
            }
        }
        match wrong.is_empty() {
            true => {
                cache.keep_nowhere(&id);
                Ok(None)
            }
            false => Err(wrong.join("; ")),
        }
    }

    fn receive(
        &self,
        server: &str,
        id: &str,
        build_id: &[u8],
        cache: &Cache,
    ) -> Result<Option<File>, String> {
        let agent: Agent = Agent::config_builder()
            .timeout_resolve(Some(self.settings.timeout))
            .timeout_connect(Some(self.settings.timeout))
            .timeout_recv_response(Some(self.settings.timeout))
            .timeout_per_read(Some(self.settings.timeout))
            .http_status_as_error(false)
            .max_redirects(5)
            .user_agent(concat!("lr/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let url = format!("{server}/buildid/{id}/debuginfo");
        let mut response = agent.get(&url).call().map_err(|error| error.to_string())?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(format!("status {}", status.as_u16())),
        }
        let body = response.body_mut();
        let total = body.content_length();
        let limit = self.settings.max_size;
        if total.is_some_and(|total| total > limit) {
            return Err(format!("its file is larger than {limit} bytes"));
        }
        let mut received = cache.receive(id).map_err(|error| error.to_string())?;
        let what = format!("debug info of build-id {id} from {}", host_of(server));
        let meter = Meter::new(&what, total, self.settings.timeout, self.tell);
        copy(body.as_reader(), &mut received.file, limit, meter)?;
        if !has_build_id(&received.file, build_id) {
            return Err("it sent something else".to_owned());
        }
        let kept = cache.keep(id, received);
        kept.map(Some).map_err(|error| error.to_string())
    }
}

impl Fetch for Debuginfod {
    fn debug_info(&self, build_id: &[u8]) -> Result<Option<File>, String> {
        // The identity is the thread's (setfsuid(2)), and not taken back: the thread ends.
        let work = || {
            if let Some((uid, gid)) = self.settings.owner {
                nix::unistd::setfsgid(Gid::from_raw(gid));
                nix::unistd::setfsuid(Uid::from_raw(uid));
            }
            self.find(build_id)
        };
        std::thread::scope(|scope| {
            let done = scope.spawn(work).join();
            done.unwrap_or_else(|_| Err("fetching it failed".to_owned()))
        })
    }
}

impl fmt::Debug for Debuginfod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debuginfod")
            .field("settings", &self.settings)
            .field("asking", &self.asking)
            .finish_non_exhaustive()
    }
}

/// A server's name without what may be secret in its address.
fn host_of(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    host.rsplit('@').next().unwrap_or(host)
}

/// The file is opened as any hostile one is; nothing else is looked for.
fn has_build_id(file: &File, build_id: &[u8]) -> bool {
    let Ok(file) = file.try_clone() else {
        return false;
    };
    let binary = Binary::open_with(file, Path::new("debuginfo"), &DebugFiles::none());
    binary.is_ok_and(|binary| binary.build_id() == Some(build_id))
}

/// Tells how far a download is, and when it is too slow to go on.
struct Meter<'a> {
    what: &'a str,
    total: Option<u64>,
    timeout: Duration,
    tell: fn(&str),
    told: Instant,
    patience: Duration,
    /// When the least progress was last made, and how much was there then.
    since: (Instant, u64),
}

impl Meter<'_> {
    fn new(what: &str, total: Option<u64>, timeout: Duration, tell: fn(&str)) -> Meter<'_> {
        let now = Instant::now();
        Meter {
            what,
            total,
            timeout,
            tell,
            told: now,
            patience: PATIENCE,
            since: (now, 0),
        }
    }

    fn at(&mut self, bytes: u64) -> Result<(), String> {
        let now = Instant::now();
        if bytes - self.since.1 >= LEAST_PROGRESS {
            self.since = (now, bytes);
        } else if now - self.since.0 > self.timeout {
            let seconds = self.timeout.as_secs();
            return Err(format!("it sends less than 100 KiB in {seconds} s"));
        }
        if now - self.told > self.patience {
            let of = match self.total {
                Some(total) => format!(" of {} MiB", total >> 20),
                None => String::new(),
            };
            (self.tell)(&format!("{}: {} MiB{of}", self.what, bytes >> 20));
            // Once, and then seldom: these are lines of a log.
            self.told = now;
            self.patience = PATIENCE * 10;
        }
        Ok(())
    }
}

fn copy(
    mut from: impl Read,
    to: &mut File,
    limit: u64,
    mut meter: Meter<'_>,
) -> Result<(), String> {
    let mut buffer = vec![0; 64 << 10];
    let mut bytes: u64 = 0;
    loop {
        let read = from.read(&mut buffer).map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(());
        }
        bytes += read as u64;
        if bytes > limit {
            return Err(format!("its file is larger than {limit} bytes"));
        }
        to.write_all(&buffer[..read])
            .map_err(|error| format!("cannot keep it: {error}"))?;
        meter.at(bytes)?;
    }
}

#[cfg(test)]
mod tests;
