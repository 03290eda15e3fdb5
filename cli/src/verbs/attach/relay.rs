//! What the agent of a command writes to its standard output: lines of the command's own.

use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lr_protocol::LiveEvent;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use crate::failure::Failure;

/// Events that may wait until they are printed; then the agent waits, and counts.
const WAITING: usize = 1024;
/// The longest line: a snapshot with its watches is far below.
const LINE_LIMIT: u64 = 16 << 20;

#[derive(Debug)]
pub(super) struct Relay(Receiver<LiveEvent>);

impl Relay {
    /// The relay, and the output that an agent is to have. It ends when nobody has that any more.
    pub(super) fn start() -> Result<(Relay, Arc<OwnedFd>), Failure> {
        let failed = |error: std::io::Error| Failure::new("internal", error.to_string());
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let (sender, receiver) = channel(WAITING);
        thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || read_all(reader, &sender))
            .map_err(failed)?;
        Ok((Relay(receiver), Arc::new(writer.into())))
    }

    pub(super) async fn next(&mut self) -> Option<LiveEvent> {
        self.0.recv().await
    }

    /// The same once the agent has said all, if it comes within that time.
    pub(super) async fn rest(&mut self, limit: Duration) -> Option<LiveEvent> {
        timeout(limit, self.0.recv()).await.ok().flatten()
    }
}

fn read_all(reader: PipeReader, events: &Sender<LiveEvent>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        match reader
            .by_ref()
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        // Nobody but the agent writes here, and it writes whole lines.
        let Ok(event) = serde_json::from_slice(&line) else {
            continue;
        };
        if events.blocking_send(event).is_err() {
            return;
        }
    }
}
