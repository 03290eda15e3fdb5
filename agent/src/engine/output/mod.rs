//! Where events go: to the server; as JSON lines into a file on the target's host; as JSON lines to
//! the agent's standard output.

mod file;
mod stream;

use std::path::Path;
use std::sync::Arc;

use lr_protocol::{LiveEvent, LiveLog, LiveMetric, LiveSnapshot, Output, StatusError};

use crate::clock::rfc3339;
use crate::escape::escaped_json;
use crate::event::Event;
use crate::outbox::Outbox;
use file::LogFile;
use stream::Share;
pub(crate) use stream::Stream;

/// Whose events are written, and with whose rights: the same for every action of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) agent_id: String,
    pub(crate) process_id: String,
    pub(crate) pid: u32,
    /// The user for whom files may be written. `None` where the server is not this user's own:
    /// those who place actions there are not those who run the agent.
    pub(crate) owner: Option<u32>,
    /// `None` where it leads nowhere.
    pub(crate) stdout: Option<Arc<Stream>>,
}

/// Where the events of one action go.
#[derive(Debug)]
pub(crate) struct Way {
    to_server: bool,
    also: Option<Also>,
    /// Why it cannot be written to any more.
    failure: Option<String>,
}

#[derive(Debug)]
enum Also {
    File(LogFile),
    Stream(Share),
}

/// Hits of lines that were not written, and whether the server has them nevertheless.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unwritten {
    pub(crate) lost: Vec<(&'static str, u64)>,
    /// Hits of lines of which it is not known yet, but where the server has them.
    pub(crate) waiting: u64,
    pub(crate) are_copies: bool,
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

    pub(crate) fn open(&self, output: &Output) -> Result<Way, StatusError> {
        let also = match output {
            Output::Server => None,
            Output::Stdout | Output::Both => Some(Also::Stream(self.stream()?.share())),
            Output::File(path) => Some(Also::File(self.file(Path::new(path))?)),
        };
        Ok(Way {
            to_server: matches!(output, Output::Server | Output::Both),
            also,
            failure: None,
        })
    }

    fn stream(&self) -> Result<&Arc<Stream>, StatusError> {
        self.stdout.as_ref().ok_or_else(|| {
            refused(
                "unsupported_output",
                "the standard output of this agent leads nowhere",
                "attach with `lr attach --output stdout`, or use --output FILE, or server",
            )
        })
    }

    fn file(&self, path: &Path) -> Result<LogFile, StatusError> {
        let Some(owner) = self.owner else {
            return Err(refused(
                "unsupported_output",
                "only an agent of one's own local server writes files",
                "use --output server",
            ));
        };
        LogFile::open(path, owner).map_err(|error| {
            refused(
                "cannot_write",
                &format!("cannot write to {}: {error}", path.display()),
                "give a file in a folder of your own",
            )
        })
    }

    /// As a server would tell it.
    fn live(&self, event: Event) -> LiveEvent {
        let (agent, process) = (self.agent_id.clone(), self.process_id.clone());
        match event {
            Event::Log(event) => LiveEvent::Log(LiveLog {
                ts: rfc3339(event.ts),
                agent,
                process,
                action: event.action_id.to_string(),
                pid: self.pid,
                tid: event.tid,
                thread: event.thread.to_string(),
                file: event.file.to_string(),
                line: event.line,
                function: event.function.to_string(),
                level: event.level.word().to_owned(),
                message: event.message,
                fields: event
                    .fields
                    .into_iter()
                    .map(|field| (field.name.to_string(), field.value.to_plain_json()))
                    .collect(),
            }),
            Event::Snapshot(event) => LiveEvent::Snapshot(LiveSnapshot {
                ts: rfc3339(event.ts),
                // Nobody keeps it, so that nobody can be asked for it.
                id: String::new(),
                agent,
                process,
                action: event.action_id.to_string(),
                pid: self.pid,
                thread: event.thread.to_string(),
                file: event.file.to_string(),
                line: event.line,
                function: event.function.to_string(),
                stop_ns: event.stop_ns,
                snapshot: event.snapshot,
            }),
            Event::Metric(row) => {
                let ts = rfc3339(row.ts);
                LiveEvent::Metric(LiveMetric::of(&row, ts, agent, process))
            }
        }
    }
}

impl Way {
    pub(crate) fn server() -> Way {
        Way {
            to_server: true,
            also: None,
            failure: None,
        }
    }

    /// Hands an event on. An error is the reason under which its loss is counted.
    pub(crate) fn put(
        &mut self,
        event: impl Into<Event>,
        writer: &Writer,
        outbox: &Outbox,
    ) -> Result<(), &'static str> {
        let event = event.into();
        let (copy, event) = match (&self.also, self.to_server) {
            (None, _) => (None, Some(event)),
            (Some(_), true) => (Some(event.clone()), Some(event)),
            (Some(_), false) => (Some(event), None),
        };
        let stored = match event {
            Some(event) => outbox.put_event(event).map_err(|_| "queue_full"),
            None => Ok(()),
        };
        let Some(copy) = copy else {
            return stored;
        };
        let events = hits_of(&copy);
        let written = self.write(copy, writer);
        match (self.to_server, written) {
            (false, written) => written,
            (true, Ok(())) => stored,
            (true, Err(reason)) => {
                if let Some(Also::Stream(share)) = &self.also {
                    share.lose(reason, events);
                }
                stored
            }
        }
    }

    fn write(&mut self, event: Event, writer: &Writer) -> Result<(), &'static str> {
        let events = hits_of(&event);
        let json = serde_json::to_string(&writer.live(event)).expect("events have string keys");
        match &mut self.also {
            None => Ok(()),
            Some(Also::File(file)) => file.write(format!("{json}\n").as_bytes()).map_err(|error| {
                self.failure.get_or_insert_with(|| error.to_string());
                stream::FAILED
            }),
            // It may be a terminal.
            Some(Also::Stream(share)) => {
                share.put(format!("{}\n", escaped_json(&json)).into_bytes(), events)
            }
        }
    }

    /// What was taken and will not be written.
    pub(crate) fn take_unwritten(&self) -> Unwritten {
        let (lost, waiting) = match &self.also {
            Some(Also::Stream(share)) => share.take_unwritten(),
            _ => (Vec::new(), 0),
        };
        Unwritten {
            lost,
            waiting: if self.to_server { 0 } else { waiting },
            are_copies: self.to_server,
        }
    }

    /// Waits a moment for a reader who is behind.
    pub(crate) fn settle(&self) {
        if let Some(Also::Stream(share)) = &self.also {
            share.settle();
        }
    }

    /// Why nothing of it goes anywhere any more.
    pub(crate) fn failure(&self) -> Option<StatusError> {
        if self.to_server {
            return None;
        }
        let (what, why) = match &self.also {
            Some(Also::Stream(share)) => ("the agent's standard output", share.failure()?),
            Some(Also::File(file)) => (file.path(), self.failure.clone()?),
            None => return None,
        };
        Some(refused(
            "cannot_write",
            &format!("cannot write to {what}: {why}"),
            "what was lost is counted; `lr retake` starts it again",
        ))
    }
}

/// Hits that an event tells of.
fn hits_of(event: &Event) -> u64 {
    match event {
        Event::Metric(row) => row.count,
        Event::Log(_) | Event::Snapshot(_) => 1,
    }
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
    use crate::outbox::Limits;
    use crate::outbox::tests::event;

    fn writer(owner: Option<u32>) -> Writer {
        Writer {
            agent_id: "agent".to_owned(),
            process_id: "7-8".to_owned(),
            pid: 7,
            owner,
            stdout: None,
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
        let outbox = Outbox::new(Limits::default());
        for message in ["one", "two"] {
            let mut way = own().open(&file(&path)).unwrap();
            way.put(event(message), &own(), &outbox).unwrap();
        }
        assert!(outbox.is_empty());
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
        check_refused(&own(), &Output::Both, "unsupported_output");
        own().open(&Output::Server).unwrap();
    }

    /// A device that is always full, as a file that may be written to.
    fn full() -> Way {
        let device = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let stream = Stream::start(device.unwrap()).unwrap();
        Way {
            to_server: false,
            also: Some(Also::Stream(stream.share())),
            failure: None,
        }
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told() {
        let outbox = Outbox::new(Limits::default());
        let mut way = full();
        way.put(event("x"), &own(), &outbox).unwrap();
        let failure = lr_fixtures::wait_until("the failure", || way.failure());
        assert_eq!(
            (failure.code.as_str(), failure.refers_to.as_str()),
            ("cannot_write", "output")
        );
        assert!(failure.message.contains("No space left"), "{failure:?}");
        assert_eq!(way.take_unwritten().lost, [(stream::FAILED, 1)]);
        assert_eq!(way.put(event("y"), &own(), &outbox), Err(stream::FAILED));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_copy_that_is_lost_is_stored_all_the_same() {
        let outbox = Outbox::new(Limits::default());
        let mut way = full();
        way.to_server = true;
        for _ in 0..3 {
            way.put(event("x"), &own(), &outbox).unwrap();
        }
        way.settle();
        assert_eq!(way.failure(), None);
        let unwritten = way.take_unwritten();
        assert!(unwritten.are_copies);
        assert_eq!(unwritten.lost, [(stream::FAILED, 3)]);
        assert_eq!(outbox.take().logs.len(), 3);
    }
}
