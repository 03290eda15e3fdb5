//! The agent's standard output: one stream for all its actions. A thread of its own writes it, so
//! that a reader who is slow, stuck or gone keeps nobody waiting: what it does not take is counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait for the reader, and their bytes.
const MOST_LINES: usize = 10_000;
const MOST_BYTES: usize = 8 << 20;
/// How long a line may take to be written when an action ends.
const PATIENCE: Duration = Duration::from_millis(200);
/// Whoever gave us the output may have made it one that never blocks.
const AGAIN: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Stream {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something waits, was written, or is not to be any more.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Line>,
    bytes: usize,
    /// Whose line is being written, and the hits that it tells of.
    writing: Option<(u64, u64)>,
    /// When a line was written last, or began to be.
    moved: Option<Instant>,
    /// Why nothing is written any more.
    failure: Option<String>,
    closed: bool,
    lost: Vec<Lost>,
    shares: u64,
}

#[derive(Debug)]
struct Line {
    share: u64,
    /// Hits that it tells of.
    events: u64,
    text: Vec<u8>,
}

/// Hits that were taken and then not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lost {
    share: u64,
    reason: &'static str,
    events: u64,
}

/// The reader did not take lines as fast as they came.
pub(super) const FULL: &str = "output_full";
/// There is no reader, or no room.
pub(super) const FAILED: &str = "output_failed";

impl Stream {
    pub(crate) fn start(output: File) -> io::Result<Arc<Stream>> {
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || ours.write_all(&output))?;
        Ok(Arc::new(Stream { shared }))
    }

    /// What one action writes into it.
    pub(super) fn share(self: &Arc<Stream>) -> Share {
        let mut state = self.shared.lock();
        state.shares += 1;
        Share {
            number: state.shares,
            stream: Arc::clone(self),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

#[derive(Debug)]
pub(super) struct Share {
    number: u64,
    stream: Arc<Stream>,
}

impl Share {
    /// Takes a line that tells of so many hits, or the reason why not.
    pub(super) fn put(&self, text: Vec<u8>, events: u64) -> Result<(), &'static str> {
        let mut state = self.stream.shared.lock();
        if state.failure.is_some() {
            return Err(FAILED);
        }
        if state.waiting.len() >= MOST_LINES || state.bytes + text.len() > MOST_BYTES {
            return Err(FULL);
        }
        state.bytes += text.len();
        state.waiting.push_back(Line {
            share: self.number,
            events,
            text,
        });
        drop(state);
        self.stream.shared.changed.notify_all();
        Ok(())
    }

    /// Reasons and hits of lines that were taken and will not be written.
    #[cfg(test)]
    fn take_lost(&self) -> Vec<(&'static str, u64)> {
        self.take_unwritten().0
    }

    /// Reasons and hits of lines that were taken and will not be written; hits of those that wait.
    pub(super) fn take_unwritten(&self) -> (Vec<(&'static str, u64)>, u64) {
        let mut state = self.stream.shared.lock();
        let lost = std::mem::take(&mut state.lost);
        let (own, others): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|lost| lost.share == self.number);
        state.lost = others;
        let lost = own.into_iter().map(|lost| (lost.reason, lost.events));
        (lost.collect(), state.hits_waiting(self.number))
    }

    /// Notes that a line was not taken.
    pub(super) fn lose(&self, reason: &'static str, events: u64) {
        let mut state = self.stream.shared.lock();
        state.lose(self.number, reason, events);
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.stream.shared.lock().failure.clone()
    }

    /// Waits until its lines are written, while the reader takes any. The others are lost.
    pub(super) fn settle(&self) {
        let shared = &self.stream.shared;
        let begun = Instant::now();
        let mut state = shared.lock();
        while state.has_lines_of(self.number) {
            let moved = state.moved.map_or(begun, |moved| moved.max(begun));
            // One who reads, but slowly, is not waited for without end either.
            let until = (moved + PATIENCE).min(begun + PATIENCE * 10);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return state.give_up(self.number);
            }
            let waited = shared.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change below is whole when the lock is given back.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Writes what is put in, until it is closed or nobody takes it any more.
    fn write_all(&self, mut output: &File) {
        while let Some(line) = self.next() {
            let written = write_line(&mut output, &line.text);
            let mut state = self.lock();
            state.writing = None;
            state.moved = Some(Instant::now());
            if let Err(error) = &written {
                state.lose(line.share, FAILED, line.events);
                state.fail(error.to_string());
            }
            drop(state);
            self.changed.notify_all();
            if written.is_err() {
                return;
            }
        }
    }

    fn next(&self) -> Option<Line> {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.waiting.pop_front() {
                state.bytes -= line.text.len();
                state.writing = Some((line.share, line.events));
                state.moved = Some(Instant::now());
                return Some(line);
            }
            if state.closed {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}

impl State {
    fn has_lines_of(&self, share: u64) -> bool {
        self.writing.is_some_and(|(writing, _)| writing == share)
            || self.waiting.iter().any(|line| line.share == share)
    }

    fn hits_waiting(&self, share: u64) -> u64 {
        let waiting = self.waiting.iter().map(|line| (line.share, line.events));
        let all = waiting.chain(self.writing);
        let own = all.filter(|(other, _)| *other == share);
        own.map(|(_, events)| events).sum()
    }

    fn lose(&mut self, share: u64, reason: &'static str, events: u64) {
        let is_same = |lost: &&mut Lost| (lost.share, lost.reason) == (share, reason);
        match self.lost.iter_mut().find(is_same) {
            Some(lost) => lost.events += events,
            None => self.lost.push(Lost {
                share,
                reason,
                events,
            }),
        }
    }

    fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.bytes = 0;
        for line in std::mem::take(&mut self.waiting) {
            self.lose(line.share, FAILED, line.events);
        }
    }

    /// What waits is lost. A line of which a part is written is told as written: it goes on as soon
    /// as somebody reads.
    fn give_up(&mut self, share: u64) {
        self.writing.take_if(|(writing, _)| *writing == share);
        for line in std::mem::take(&mut self.waiting) {
            if line.share == share {
                self.bytes -= line.text.len();
                self.lose(line.share, FULL, line.events);
            } else {
                self.waiting.push_back(line);
            }
        }
    }
}

fn write_line(output: &mut &File, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match output.write(text) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => text = &text[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read};
    use std::os::fd::OwnedFd;

    fn piped() -> (Arc<Stream>, PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        let stream = Stream::start(File::from(OwnedFd::from(writer))).unwrap();
        (stream, reader)
    }

    fn sum(lost: &[(&'static str, u64)], reason: &str) -> u64 {
        let ours = lost.iter().filter(|(why, _)| *why == reason);
        ours.map(|(_, events)| events).sum()
    }

    #[test]
    fn lines_come_out_in_order_and_whole() {
        let (stream, mut reader) = piped();
        let (first, second) = (stream.share(), stream.share());
        for number in 0..100 {
            let share = if number % 2 == 0 { &first } else { &second };
            share.put(format!("{number}\n").into_bytes(), 1).unwrap();
        }
        first.settle();
        second.settle();
        assert!(first.take_lost().is_empty() && second.take_lost().is_empty());
        drop((first, second, stream));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(text, expected);
    }

    /// Every line is read, refused or counted, and nobody waits.
    #[test]
    fn a_reader_that_stopped_costs_lines_and_no_time() {
        let (stream, mut reader) = piped();
        let share = stream.share();
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..2 * MOST_LINES {
            match share.put(b"0123456789012345678\n".to_vec(), 1) {
                Ok(()) => taken += 1,
                Err(reason) => {
                    assert_eq!(reason, FULL);
                    refused += 1;
                }
            }
        }
        assert!(refused > 0);
        share.settle();
        let lost = sum(&share.take_lost(), FULL);
        assert!(lost > 0);
        drop((share, stream));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count() as u64, taken - lost);
    }

    #[test]
    fn a_reader_that_is_gone_is_a_failure() {
        let (stream, reader) = piped();
        drop(reader);
        let (share, other) = (stream.share(), stream.share());
        share.put(b"x\n".to_vec(), 3).unwrap();
        lr_fixtures::wait_until("the failure", || share.failure());
        share.settle();
        assert_eq!(share.take_lost(), [(FAILED, 3)]);
        assert_eq!(other.put(b"y\n".to_vec(), 1), Err(FAILED));
        assert!(other.take_lost().is_empty());
    }
}
