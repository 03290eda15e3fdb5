//! The thread that reads. It keeps what it has read of debug info for as long as the process has
//! the same modules.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lr_dwarf::{Module, Target};
use lr_tracer::Aside;

use super::gate::Gate;
use super::memory::StoodMemory;
use super::prepare::prepare;
use super::stand::{self, Read, Standing};
use crate::note::note;

/// Asks for readings. Dropping it ends the thread when it has nothing left to do.
#[derive(Debug)]
pub(crate) struct Reader {
    requests: Sender<Request>,
    thread: JoinHandle<()>,
}

enum Request {
    /// From now on these are the modules of the process.
    Load(Vec<Module>),
    /// Addresses at which threads will be read; the answer is that it is done.
    Prepare(u32, Vec<u64>, SyncSender<()>),
    Read(Box<Standing>, Arc<Gate>, SyncSender<Read>),
}

/// A reading that was asked for.
#[derive(Debug)]
pub(crate) struct Begun {
    gate: Arc<Gate>,
    answer: Receiver<Read>,
}

/// How a reading went on.
#[derive(Debug)]
pub(crate) enum Progress {
    Done(Box<Read>),
    NotYet,
    /// The reader has failed.
    Never,
}

impl Begun {
    /// Waits for the end of the reading, and closes its gate.
    pub(crate) fn until(&self, deadline: Instant) -> Progress {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let progress = self.within(timeout);
        self.gate.close();
        progress
    }

    pub(crate) fn within(&self, timeout: Duration) -> Progress {
        match self.answer.recv_timeout(timeout) {
            Ok(read) => Progress::Done(Box::new(read)),
            Err(RecvTimeoutError::Timeout) => Progress::NotYet,
            Err(RecvTimeoutError::Disconnected) => Progress::Never,
        }
    }
}

impl Reader {
    pub(crate) fn start() -> std::io::Result<Reader> {
        let (requests, incoming) = mpsc::channel();
        let body = move || {
            // Should reading fail, those who wait for it see their channels close.
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve(&incoming))).is_err()
            {
                note("reading a thread failed by a fault of our own");
            }
        };
        let thread = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(body)?;
        Ok(Reader { requests, thread })
    }

    /// It has failed.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    pub(crate) fn load(&self, modules: Vec<Module>) {
        // A reader that has failed shows when it is asked to read.
        let _ = self.requests.send(Request::Load(modules));
    }

    /// Returns when it is done, or the time is over; it goes on nevertheless.
    pub(crate) fn prepare(&self, pid: u32, addresses: Vec<u64>, timeout: Duration) {
        let (done, answer) = mpsc::sync_channel(1);
        let request = Request::Prepare(pid, addresses, done);
        if self.requests.send(request).is_ok() {
            let _ = answer.recv_timeout(timeout);
        }
    }

    pub(crate) fn begin(&self, standing: Standing) -> Begun {
        let (done, answer) = mpsc::sync_channel(1);
        let gate = Arc::new(Gate::default());
        let request = Request::Read(Box::new(standing), Arc::clone(&gate), done);
        let _ = self.requests.send(request);
        Begun { gate, answer }
    }
}

fn serve(requests: &Receiver<Request>) {
    let mut modules = Vec::new();
    while let Some(next) = serve_modules(requests, &modules) {
        modules = next;
    }
}

/// Serves until the process has other modules; `None` at the end.
fn serve_modules(requests: &Receiver<Request>, modules: &[Module]) -> Option<Vec<Module>> {
    let memory = StoodMemory::new();
    let target = Target::new(modules, Box::new(memory.clone()));
    loop {
        match requests.recv().ok()? {
            Request::Load(next) => return Some(next),
            Request::Prepare(pid, addresses, done) => {
                let _aside = Aside::of(pid);
                prepare(&target, &memory, pid, &addresses);
                let _ = done.send(());
            }
            // It waited behind another for too long: nothing can be read of it any more.
            Request::Read(_, gate, _) if gate.is_closed() => {}
            Request::Read(standing, gate, done) => {
                memory.begin(standing.tid, &gate);
                let _ = done.send(stand::read(&target, &memory, &standing));
            }
        }
    }
}
