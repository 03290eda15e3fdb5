//! The agent's half: starts the tracer process, sends commands, reads records.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::command::{self, AmendAction, ArmAction, Armed, Command, Mode, Released, Reply, Slot};
use crate::error::TracerError;
use crate::groups::Groups;
use crate::guard::{Guard, Rescued};
use crate::journal::{self, JOURNAL_BYTES, JournalOwner};
use crate::process::monotonic_ns;
use crate::record::Record;
use crate::ring::Consumer;
use crate::shared::{SHARED_BYTES, Shared, SlotCounters};
use crate::sys;

/// How long a woken reader lets records gather, so that a busy site does not wake it each time. Not
/// where a thread may be standing still meanwhile.
const GATHER: Duration = Duration::from_millis(1);

/// A tracer process, held by the agent. Dropping it makes the tracer restore and let go.
#[derive(Debug)]
pub struct Tracer {
    socket: UnixStream,
    /// The target's.
    pid: u32,
    child: Option<Child>,
    guard: Option<Guard>,
    shared: Arc<Shared>,
    consumer: Consumer,
    wakeups: EventFd,
    /// Armed slots whose threads wait for us.
    holding: HashSet<Slot>,
}

impl Tracer {
    /// Starts the tracer process as `lr tracer --pid PID`. Nothing is seized before the first
    /// action is armed.
    /// What it plants is written down in memory, so that only we can put it back if it dies.
    pub fn spawn(lr: &Path, pid: u32) -> Result<Tracer, TracerError> {
        Tracer::spawn_with(lr, pid, None)
    }

    /// The same with what is planted written down in a file, empty and for nothing else, so that it
    /// can be put back when we have died too.
    pub fn spawn_with(
        lr: &Path,
        pid: u32,
        journal: Option<(File, JournalOwner)>,
    ) -> Result<Tracer, TracerError> {
        let memory = sys::SharedMemory::create(SHARED_BYTES).map_err(TracerError::Spawn)?;
        let (journal, owner) = match journal {
            Some((file, owner)) => (mapped(file).map_err(TracerError::Spawn)?, Some(owner)),
            None => {
                let journal = sys::SharedMemory::create(JOURNAL_BYTES);
                (journal.map_err(TracerError::Spawn)?, None)
            }
        };
        let (alive, its_life) = nix::unistd::pipe2(OFlag::O_CLOEXEC)
            .map_err(|errno| TracerError::Spawn(errno.into()))?;
        let (ours, theirs) = UnixStream::pair().map_err(TracerError::Spawn)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wakeups = EventFd::from_value_and_flags(0, flags)
            .map_err(|errno| TracerError::Spawn(errno.into()))?;
        let theirs = OwnedFd::from(theirs);
        let fds = [
            theirs.as_fd(),
            memory.fd(),
            wakeups.as_fd(),
            journal.fd(),
            its_life.as_fd(),
        ];
        let arguments = ["tracer", "--pid", &pid.to_string()];
        let child = sys::spawn_tracer(lr, &arguments, fds).map_err(TracerError::Spawn)?;
        drop(theirs);
        drop(its_life);
        let shared = Arc::new(Shared::new(memory, journal));
        if let Some(owner) = owner {
            journal::begin(&shared, owner);
        }
        let guard = Guard::start(shared.clone(), alive).map_err(TracerError::Spawn)?;
        let consumer = Consumer::new(shared.clone());
        Ok(Tracer {
            socket: ours,
            pid,
            child: Some(child),
            guard: Some(guard),
            shared,
            consumer,
            wakeups,
            holding: HashSet::new(),
        })
    }

    /// Seizes the target if it is not held yet and plants the action at each of its sites that may
    /// be changed. An error if that is none.
    pub fn arm(&mut self, action: &ArmAction) -> Result<Armed, TracerError> {
        match self.ask(&Command::Arm(action.clone()))? {
            Reply::Armed(armed) => {
                if let Some(guard) = &self.guard {
                    guard.look_at(self.pid);
                }
                if matches!(action.mode, Mode::Hold(_)) {
                    self.holding.insert(action.slot);
                }
                Ok(armed)
            }
            reply => Err(unexpected(&reply)),
        }
    }

    /// Gives up some sites of an armed action and plants it at others. What it has at other
    /// addresses stays planted, and it goes on counting. It may be left without any.
    pub fn amend(&mut self, change: &AmendAction) -> Result<Armed, TracerError> {
        match self.ask(&Command::Amend(change.clone()))? {
            Reply::Armed(armed) => Ok(armed),
            reply => Err(unexpected(&reply)),
        }
    }

    /// The addresses at which something was planted and is not any more, because they were
    /// unmapped, mapped again or changed. Each is told once.
    pub fn verify(&mut self) -> Result<Vec<u64>, TracerError> {
        match self.ask(&Command::Verify)? {
            Reply::Lost(addresses) => Ok(addresses),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Takes the action away and tells what it has counted since that was asked last. Sites that no
    /// other action uses are restored before this returns; records of earlier hits are still in
    /// the ring.
    pub fn disarm(&mut self, slot: Slot) -> Result<Groups, TracerError> {
        self.holding.remove(&slot);
        match self.ask(&Command::Disarm(slot))? {
            Reply::Disarmed(groups) => Ok(groups),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Lets a thread go on that this hit of the slot holds ([`Record::Held`], whose `hits` says
    /// which). For how many nanoseconds it stood still, if until now: what was read of it
    /// meanwhile belongs together. `None` if it went on before, and may be held by another hit.
    pub fn let_on(&mut self, tid: u32, slot: Slot, hits: u64) -> Result<Option<u64>, TracerError> {
        match self.ask(&Command::LetOn(tid, slot, hits))? {
            Reply::LetOn(stood) => Ok(stood),
            reply => Err(unexpected(&reply)),
        }
    }

    /// What an aggregating slot has counted since this was asked last. It can be asked for still
    /// when the target has ended.
    pub fn take_groups(&mut self, slot: Slot) -> Result<Groups, TracerError> {
        match self.ask(&Command::TakeGroups(slot))? {
            Reply::Groups(groups) => Ok(groups),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Restores every byte, reads each again, and lets the target go. The handle goes on giving
    /// the records that are left.
    pub fn release(&mut self) -> Result<Released, TracerError> {
        let reply = self.ask(&Command::Release)?;
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
        match reply {
            Reply::Released(released) => Ok(released),
            reply => Err(unexpected(&reply)),
        }
    }

    /// The counters of a slot, from shared memory; correct also after the tracer's death.
    pub fn counters(&self, slot: Slot) -> SlotCounters {
        self.shared.counters(slot, monotonic_ns())
    }

    /// The longest stop of a slot since this was asked last, in nanoseconds.
    pub fn take_longest_stop(&self, slot: Slot) -> u64 {
        self.shared.take_longest_stop(slot)
    }

    /// The next record, if there is one.
    pub fn next_record(&mut self) -> Option<Record<'_>> {
        self.consumer.next()
    }

    /// Waits until a record may be there, the tracer dies, or the time is over.
    pub fn wait(&self, timeout: Duration) {
        self.consumer.announce_waiting(true);
        if self.consumer.is_empty() {
            let mut fds = [
                PollFd::new(self.wakeups.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.socket.as_fd(), PollFlags::empty()),
            ];
            let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
            if poll(&mut fds, timeout) == Ok(1) {
                let _ = self.wakeups.read();
                if self.holding.is_empty() {
                    std::thread::sleep(GATHER);
                }
            }
        }
        self.consumer.announce_waiting(false);
    }

    /// The tracer's process id.
    pub fn tracer_pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What was put back when the tracer had died; waits until that is done. Once.
    pub fn take_rescued(&mut self) -> Option<Rescued> {
        Some(self.guard.take()?.finish())
    }

    /// Whether the tracer process is there still.
    pub fn is_alive(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    fn ask(&mut self, command: &Command) -> Result<Reply, TracerError> {
        command::send(&self.socket, &command.encode()).map_err(|_| TracerError::Died)?;
        let reply = command::receive(&self.socket).map_err(|_| TracerError::Died)?;
        let reply = reply.ok_or(TracerError::Died)?;
        match Reply::decode(&reply) {
            Some(Reply::Failed(error)) => Err(error),
            Some(reply) => Ok(reply),
            None => Err(TracerError::Protocol(
                "malformed reply of the tracer".to_owned(),
            )),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // The tracer sees the socket close, restores and ends by itself.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

/// The file as shared memory of which each page is there, so that touching one cannot fail.
fn mapped(journal: File) -> io::Result<sys::SharedMemory> {
    let bytes = i64::try_from(JOURNAL_BYTES).map_err(io::Error::other)?;
    nix::fcntl::posix_fallocate(&journal, 0, bytes)?;
    sys::SharedMemory::map(journal.into(), JOURNAL_BYTES)
}

fn unexpected(reply: &Reply) -> TracerError {
    TracerError::Protocol(format!("unexpected reply of the tracer: {reply:?}"))
}
