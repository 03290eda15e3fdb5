//! Events as JSON lines in a file on the target's host, instead of on their way to the server.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use lr_protocol::{LiveEvent, LiveLog, LiveMetric, LiveSnapshot, Output, StatusError};

use crate::clock::rfc3339;
use crate::event::Event;

/// Whose events are written, and with whose rights: the same for every action of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) agent_id: String,
    pub(crate) process_id: String,
    pub(crate) pid: u32,
    /// The user for whom files may be written. `None` where the server is not this user's own:
    /// those who place actions there are not those who run the agent.
    pub(crate) owner: Option<u32>,
}

/// An open file; lines go to its end.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
}

impl Writer {
    /// The user who started the agent, also where `sudo` stands in between.
    pub(crate) fn invoking_user() -> u32 {
        let own = nix::unistd::geteuid();
        let sudo = std::env::var("SUDO_UID")
            .ok()
            .and_then(|uid| uid.parse().ok());
        match sudo {
            Some(uid) if own.is_root() => uid,
            _ => own.as_raw(),
        }
    }

    /// `None` for the server.
    pub(crate) fn open(&self, output: &Output) -> Result<Option<Lines>, StatusError> {
        let path = match output {
            Output::Server => return Ok(None),
            Output::Stdout => {
                return Err(refused(
                    "unsupported_output",
                    "the agent has no standard output to write to in this version",
                    "use --output FILE, or read the server's events with `lr tail --json`",
                ));
            }
            Output::File(path) => Path::new(path),
        };
        let Some(owner) = self.owner else {
            return Err(refused(
                "unsupported_output",
                "only an agent of one's own local server writes files",
                "use --output server",
            ));
        };
        match open_of(path, owner) {
            Ok(file) => Ok(Some(Lines { file })),
            Err(error) => Err(refused(
                "cannot_write",
                &format!("cannot write to {}: {error}", path.display()),
                "give a file in a folder of your own",
            )),
        }
    }

    pub(crate) fn write(&self, lines: &mut Lines, event: impl Into<Event>) -> io::Result<()> {
        let mut line = serde_json::to_vec(&self.live(event.into()))?;
        line.push(b'\n');
        lines.file.write_all(&line)
    }

    /// As a server would tell it.
    fn live(&self, event: Event) -> LiveEvent {
        let (agent, process) = (self.agent_id.clone(), self.process_id.clone());
        match event {
            Event::Log(event) => LiveEvent::Log(LiveLog {
                ts: rfc3339(event.ts),
                agent,
                process,
                action: event.action_id,
                pid: self.pid,
                tid: event.tid,
                thread: event.thread,
                file: event.file,
                line: event.line,
                function: event.function,
                level: event.level.word().to_owned(),
                message: event.message,
                fields: event
                    .fields
                    .into_iter()
                    .map(|field| (field.name, field.value.to_plain_json()))
                    .collect(),
            }),
            Event::Snapshot(event) => LiveEvent::Snapshot(LiveSnapshot {
                ts: rfc3339(event.ts),
                // Nobody keeps it, so that nobody can be asked for it.
                id: String::new(),
                agent,
                process,
                action: event.action_id,
                pid: self.pid,
                thread: event.thread,
                file: event.file,
                line: event.line,
                function: event.function,
                stop_ns: event.stop_ns,
                snapshot: event.snapshot,
            }),
            Event::Metric(row) => {
                #[expect(clippy::cast_precision_loss, reason = "a mean is rounded anyway")]
                let mean = row.sum.map(|sum| sum / row.count.max(1) as f64);
                LiveEvent::Metric(LiveMetric {
                    ts: rfc3339(row.ts),
                    agent,
                    process,
                    action: row.action_id.clone(),
                    name: row.name.clone(),
                    kind: row.kind.clone(),
                    unit: row.unit.clone(),
                    group: row.group.clone(),
                    observed_ms: row.observed_ms,
                    count: row.count,
                    sum: row.sum,
                    min: row.min,
                    max: row.max,
                    mean,
                    p50: row.quantile(0.5),
                    p99: row.quantile(0.99),
                })
            }
        }
    }
}

/// We may have more rights than the user for whom we write. So the file is in a folder of that
/// user's, is no link to another one, and is not anybody else's.
fn open_of(path: &Path, owner: u32) -> io::Result<File> {
    let wrong = |why: &str| io::Error::other(why.to_owned());
    let folder = match path.parent() {
        Some(folder) if path.is_absolute() => folder.canonicalize()?,
        _ => return Err(wrong("it is not an absolute path of a file")),
    };
    let name = path.file_name().ok_or_else(|| wrong("it names no file"))?;
    if folder.metadata()?.uid() != owner {
        return Err(wrong("its folder is another user's"));
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(folder.join(name))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(wrong("it is a link, or not a regular file"));
    }
    if metadata.uid() != owner {
        if metadata.len() != 0 || metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(wrong("it is another user's"));
        }
        std::os::unix::fs::fchown(&file, Some(owner), None)?;
    }
    Ok(file)
}

fn refused(code: &str, message: &str, suggestion: &str) -> StatusError {
    StatusError {
        code: code.to_owned(),
        refers_to: "output".to_owned(),
        message: message.to_owned(),
        suggestions: vec![suggestion.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::tests::event;

    fn writer(owner: Option<u32>) -> Writer {
        Writer {
            agent_id: "agent".to_owned(),
            process_id: "7-8".to_owned(),
            pid: 7,
            owner,
        }
    }

    fn own() -> Writer {
        writer(Some(nix::unistd::geteuid().as_raw()))
    }

    fn file(path: &Path) -> Output {
        Output::File(path.to_str().unwrap().to_owned())
    }

    #[test]
    fn events_are_lines_of_the_contract_and_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        for message in ["one", "two"] {
            let mut lines = own().open(&file(&path)).unwrap().unwrap();
            own().write(&mut lines, event(message)).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let logs: Vec<LiveLog> = text
            .lines()
            .map(|line| match serde_json::from_str(line).unwrap() {
                LiveEvent::Log(log) => log,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(logs.len(), 2);
        assert_eq!((logs[1].message.as_str(), logs[1].pid), ("two", 7));
        assert_eq!(logs[1].ts, "1970-01-01T00:00:00.000001Z");
    }

    #[track_caller]
    fn check_refused(writer: &Writer, output: &Output, code: &str) {
        assert_eq!(writer.open(output).unwrap_err().code, code);
    }

    #[test]
    fn nothing_is_written_where_the_user_could_not() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        check_refused(&own(), &file(&link), "cannot_write");
        std::fs::remove_file(&link).unwrap();
        std::fs::hard_link(&victim, &link).unwrap();
        check_refused(&own(), &file(&link), "cannot_write");
        check_refused(&own(), &file(Path::new("relative")), "cannot_write");
        check_refused(&own(), &file(folder.path()), "cannot_write");
        // A folder of somebody else's.
        check_refused(
            &writer(Some(4711)),
            &file(&folder.path().join("x")),
            "cannot_write",
        );
        // A server of somebody else's.
        check_refused(
            &writer(None),
            &file(&folder.path().join("x")),
            "unsupported_output",
        );
        check_refused(&own(), &Output::Stdout, "unsupported_output");
        assert!(own().open(&Output::Server).unwrap().is_none());
    }
}
