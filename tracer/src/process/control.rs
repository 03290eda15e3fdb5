//! The tracer process's main thread: reads commands, starts and wakes the tracer thread, and
//! notices when the agent is gone.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CpuSet;
use nix::sys::eventfd::EventFd;

use crate::command::{self, AmendAction, ArmAction, Command, Released, Reply, Slot};
use crate::error::TracerError;
use crate::groups::Groups;
use crate::journal::JOURNAL_BYTES;
use crate::process::cost::WakeCosts;
use crate::process::courtesy::{self, Aside};
use crate::process::deference::{Deference, Recalled, WATCH, Watch};
use crate::process::engine::Engine;
use crate::process::proc::Mappings;
use crate::process::step_watch::StepWatch;
use crate::process::{attach, monotonic_ns, proc};
use crate::record::Ended;
use crate::ring::{Producer, Pushed};
use crate::shared::{SHARED_BYTES, Shared};
use crate::sys;

/// How often paused slots are looked at, and whether the target is still there.
const TICK: Duration = Duration::from_millis(20);
/// A wake-up that comes before the thread waits is lost, so it is repeated.
const REPEAT_WAKE: Duration = Duration::from_micros(500);

/// Entry of the tracer process, `lr tracer --pid PID`. Ends with the agent's socket.
pub fn tracer_main(pid: u32) -> Result<(), TracerError> {
    let start = |source| TracerError::System {
        what: "cannot start the tracer",
        source,
    };
    // What is left closes with this process, which is how its end is noticed.
    let [socket, memory, wakeups, journal, _alive] = sys::inherited().map_err(start)?;
    sys::install_wake_handler().map_err(start)?;
    sys::install_termination_handler().map_err(start)?;
    outlive_memory_pressure();
    let memory = sys::SharedMemory::map(memory, SHARED_BYTES).map_err(start)?;
    let journal = sys::SharedMemory::map(journal, JOURNAL_BYTES).map_err(start)?;
    let shared = Arc::new(Shared::new(memory, journal));
    // The thread that started us may keep aside, as we do to begin with.
    let agent = nix::unistd::getppid().as_raw().cast_unsigned();
    let allowed = courtesy::cpus_of(agent).or_else(|| courtesy::cpus_of(0));
    let pid = i32::try_from(pid).map_err(|_| TracerError::ProcessGone { pid })?;
    let mut control = Control {
        pid,
        started: proc::start_time(pid),
        allowed,
        socket: UnixStream::from(socket),
        shared,
        wakeups: Arc::new(event_fd(wakeups)),
        costs: Arc::new(WakeCosts::new()),
        attachment: None,
        released: Released::default(),
        left: HashMap::new(),
        ended: false,
    };
    control.costs.calibrate(pid, allowed);
    control.run();
    Ok(())
}

struct Control {
    pid: i32,
    /// With the pid, the identity of the target.
    started: Option<u64>,
    /// Where our threads may run when they do not keep aside.
    allowed: Option<CpuSet>,
    socket: UnixStream,
    shared: Arc<Shared>,
    wakeups: Arc<EventFd>,
    costs: Arc<WakeCosts>,
    attachment: Option<Attachment>,
    released: Released,
    /// What was counted in attachments that have ended.
    left: HashMap<Slot, Groups>,
    ended: bool,
}

/// A running tracer thread, as the control thread sees it.
struct Attachment {
    link: Arc<Link>,
    thread: JoinHandle<()>,
    watch: Watch,
}

/// What the two threads share.
struct Link {
    tid: AtomicI32,
    deference: Arc<Deference>,
    step: Arc<StepWatch>,
    mail: Mutex<Mail>,
    changed: Condvar,
    /// Threads seized so far, while seizing; empty at other times.
    seized: Mutex<Vec<i32>>,
}

#[derive(Default)]
struct Mail {
    request: Option<Request>,
    reply: Option<Reply>,
    /// The tracer thread wants to be woken every [`TICK`].
    tick: bool,
    /// The same from this time on, on the monotonic clock.
    tick_from: Option<u64>,
    /// Set by the tracer thread at its end.
    finished: Option<Finished>,
}

enum Request {
    Arm(ArmAction),
    Amend(AmendAction),
    Disarm(Slot),
    Verify(Option<Mappings>),
    LetOn(i32, Slot, u64),
    TakeGroups(Slot),
    /// Restore and let go.
    Release,
}

#[derive(Default)]
struct Finished {
    released: Released,
    ended: Option<Ended>,
    left: HashMap<Slot, Groups>,
}

impl Link {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        // A panic of the tracer thread must not keep us from joining it.
        self.mail
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Control {
    fn run(&mut self) {
        while !sys::termination_requested() {
            if self.socket_is_readable() {
                let Ok(Some(message)) = command::receive(&self.socket) else {
                    break;
                };
                let Some(command) = Command::decode(&message) else {
                    break;
                };
                let last = matches!(command, Command::Release);
                let reply = self.obey(command);
                if command::send(&self.socket, &reply.encode()).is_err() || last {
                    break;
                }
            }
            self.tick();
        }
        self.release();
    }

    fn socket_is_readable(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let watches = |held: &Attachment| held.link.deference.gives_way();
        let tick = match self.attachment.as_ref().is_some_and(watches) {
            true => WATCH,
            false => TICK,
        };
        let timeout = PollTimeout::try_from(tick).unwrap_or(PollTimeout::ZERO);
        // A hang-up is readable too: receive then finds the end.
        poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
    }

    fn obey(&mut self, command: Command) -> Reply {
        match command {
            Command::Arm(action) => self.arm(action),
            Command::Amend(change) => {
                let attachment = self.attachment.as_ref();
                let reply = attachment.and_then(|held| held.request(Request::Amend(change)));
                let pid = self.pid.cast_unsigned();
                reply.unwrap_or(Reply::Failed(TracerError::ProcessGone { pid }))
            }
            Command::Verify => {
                // Read here, so that no stopped thread waits for it.
                let map = Mappings::read(proc::living_thread(self.pid));
                let attachment = self.attachment.as_ref();
                let reply = attachment.and_then(|held| held.request(Request::Verify(map)));
                reply.unwrap_or(Reply::Lost(Vec::new()))
            }
            Command::LetOn(tid, slot, hits) => {
                let attachment = self.attachment.as_ref();
                let request = Request::LetOn(tid.cast_signed(), slot, hits);
                let reply = attachment.and_then(|held| held.request(request));
                reply.unwrap_or(Reply::LetOn(None))
            }
            Command::TakeGroups(slot) => {
                let attachment = self.attachment.as_ref();
                let reply = attachment.and_then(|held| held.request(Request::TakeGroups(slot)));
                if reply.is_none() {
                    self.join();
                }
                reply.unwrap_or_else(|| Reply::Groups(self.left.remove(&slot).unwrap_or_default()))
            }
            Command::Disarm(slot) => {
                let attachment = self.attachment.as_ref();
                let reply = attachment.and_then(|held| held.request(Request::Disarm(slot)));
                if reply.is_none() {
                    self.join();
                }
                reply
                    .unwrap_or_else(|| Reply::Disarmed(self.left.remove(&slot).unwrap_or_default()))
            }
            Command::Release => {
                self.release();
                Reply::Released(self.released)
            }
        }
    }

    fn arm(&mut self, action: ArmAction) -> Reply {
        if self.ended || proc::start_time(self.pid) != self.started || self.started.is_none() {
            let pid = self.pid.cast_unsigned();
            return Reply::Failed(TracerError::ProcessGone { pid });
        }
        self.left.remove(&action.slot);
        // The tracer thread may be on its way out after the last action; then a new one begins.
        for _ in 0..2 {
            let attachment = match self.attachment.take() {
                Some(attachment) => attachment,
                None => match self.start_thread() {
                    Ok(attachment) => attachment,
                    Err(error) => return Reply::Failed(error),
                },
            };
            let reply = attachment.request(Request::Arm(action.clone()));
            self.attachment = Some(attachment);
            match reply {
                Some(reply) => return reply,
                None => self.join(),
            }
            if self.ended {
                break;
            }
        }
        let pid = self.pid.cast_unsigned();
        Reply::Failed(TracerError::ProcessGone { pid })
    }

    fn start_thread(&self) -> Result<Attachment, TracerError> {
        let link = Arc::new(Link {
            tid: AtomicI32::new(0),
            deference: Arc::new(Deference::new(self.allowed)),
            step: Arc::new(StepWatch::default()),
            mail: Mutex::new(Mail::default()),
            changed: Condvar::new(),
            seized: Mutex::new(Vec::new()),
        });
        let (pid, shared, wakeups) = (self.pid, self.shared.clone(), self.wakeups.clone());
        let (theirs, costs) = (link.clone(), self.costs.clone());
        let thread = std::thread::Builder::new()
            .name("lr-ptrace".to_owned())
            .spawn(move || {
                let _end = EndGuard {
                    link: theirs.clone(),
                };
                hold(pid, &theirs, shared, wakeups, costs);
            })
            .map_err(|source| TracerError::System {
                what: "cannot start a thread",
                source,
            })?;
        let watch = Watch::new(self.allowed);
        Ok(Attachment {
            link,
            thread,
            watch,
        })
    }

    fn release(&mut self) {
        if let Some(attachment) = &self.attachment {
            attachment.request(Request::Release);
            self.join();
        }
    }

    /// Waits for the tracer thread's end, with which the target goes free.
    fn join(&mut self) {
        let Some(mut attachment) = self.attachment.take() else {
            return;
        };
        // The next thread would inherit it.
        attachment.watch.rest();
        let _ = attachment.thread.join();
        let finished = attachment.link.mail().finished.take();
        if let Some(finished) = finished {
            self.released.restored += finished.released.restored;
            self.released.foreign += finished.released.foreign;
            self.left.extend(finished.left);
            if let Some(ended) = finished.ended {
                self.report_end(ended);
            }
        }
    }

    fn tick(&mut self) {
        match &mut self.attachment {
            Some(attachment) if attachment.thread.is_finished() => self.join(),
            Some(attachment) => attachment.tick(),
            None if !self.ended && proc::start_time(self.pid) != self.started => {
                self.report_end(Ended::Gone);
            }
            None => {}
        }
    }

    fn report_end(&mut self, ended: Ended) {
        if self.ended {
            return;
        }
        self.ended = true;
        // The tracer thread, which wrote the ring before, has ended.
        if Producer::new(self.shared.clone()).ended(ended) == Pushed::WakeConsumer {
            let _ = self.wakeups.write(1);
        }
    }
}

impl Attachment {
    /// Hands a request over and waits for the reply; `None` if the thread ended without one.
    fn request(&self, request: Request) -> Option<Reply> {
        let mut mail = self.link.mail();
        mail.request = Some(request);
        loop {
            if let Some(reply) = mail.reply.take() {
                return Some(reply);
            }
            if mail.finished.is_some() {
                return None;
            }
            drop(mail);
            // Nobody waits for an answer because others go first.
            self.link.deference.recall(Recalled::Wanted);
            self.wake();
            self.reap_while_seizing();
            let waited = self
                .link
                .changed
                .wait_timeout(self.link.mail(), REPEAT_WAKE);
            mail = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    fn tick(&mut self) {
        self.watch.look(&self.link.deference);
        // Not cleared here: a wake-up that comes before the thread waits is lost.
        let mail = self.link.mail();
        let is_due = |time| time <= monotonic_ns();
        let wanted = mail.tick || self.link.step.lasts() || mail.tick_from.is_some_and(is_due);
        drop(mail);
        if wanted {
            self.wake();
        }
    }

    fn wake(&self) {
        match self.link.tid.load(Ordering::Acquire) {
            0 => {}
            tid => sys::wake_thread(tid),
        }
    }

    fn reap_while_seizing(&self) {
        let seized = self
            .link
            .seized
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for &tid in seized.iter() {
            if sys::has_exited(tid) {
                sys::reap(tid);
            }
        }
    }
}

/// Marks the thread as finished also when it panicked.
struct EndGuard {
    link: Arc<Link>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        let mut mail = self.link.mail();
        mail.finished.get_or_insert_default();
        drop(mail);
        self.link.changed.notify_all();
    }
}

/// The tracer thread: seizes for the first action, serves stops and requests, and ends when no
/// action is left or the target is gone.
fn hold(pid: i32, link: &Link, shared: Arc<Shared>, wakeups: Arc<EventFd>, costs: Arc<WakeCosts>) {
    link.tid
        .store(nix::unistd::gettid().as_raw(), Ordering::Release);
    link.deference.begins_here();
    let (deference, step) = (link.deference.clone(), link.step.clone());
    let aside = Aside::within(pid.cast_unsigned(), deference.allowed());
    let attached = attach::seize_all(pid, &link.seized)
        .and_then(|threads| Engine::new(pid, threads, shared, wakeups, deference, costs, step));
    link.seized
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clear();
    let mut engine = match attached {
        Ok(engine) => engine,
        Err(error) => return answer(link, Reply::Failed(error)),
    };
    engine.forget_the_dead();
    if let Err(error) = engine.outwait_forks() {
        return answer(link, Reply::Failed(error));
    }
    drop(aside);
    loop {
        // Taken apart from the match, so that the lock is not held while it is obeyed.
        let request = link.mail().request.take();
        match request {
            Some(Request::Arm(action)) => {
                let reply = match engine.arm(&action) {
                    Ok(armed) => Reply::Armed(armed),
                    Err(error) => Reply::Failed(error),
                };
                if engine.desk.slots.is_empty() {
                    finish(link, engine, Some(reply));
                    return;
                }
                answer(link, reply);
            }
            Some(Request::Amend(change)) => {
                let reply = match engine.amend(&change) {
                    Ok(armed) => Reply::Armed(armed),
                    Err(error) => Reply::Failed(error),
                };
                answer(link, reply);
            }
            Some(Request::Verify(map)) => {
                answer(link, Reply::Lost(engine.verify(map.as_ref())));
            }
            Some(Request::LetOn(tid, slot, hits)) => {
                answer(link, Reply::LetOn(engine.let_on(tid, slot, hits)));
            }
            Some(Request::TakeGroups(slot)) => {
                answer(link, Reply::Groups(engine.take_groups(slot)));
            }
            Some(Request::Disarm(slot)) => {
                let reply = Reply::Disarmed(engine.disarm(slot));
                if engine.desk.slots.is_empty() {
                    finish(link, engine, Some(reply));
                    return;
                }
                answer(link, reply);
            }
            Some(Request::Release) => {
                finish(link, engine, None);
                return;
            }
            None => {}
        }
        if engine.ended.is_some() {
            finish(link, engine, None);
            return;
        }
        engine.free_overdue();
        engine.expire();
        if engine.wants_ticks() {
            engine.tick();
        }
        let mut mail = link.mail();
        mail.tick = engine.wants_ticks();
        mail.tick_from = engine.next_expiry;
        drop(mail);
        engine.turn();
    }
}

/// Restores and settles; the reply is given as soon as the bytes are back.
fn finish(link: &Link, mut engine: Engine, reply: Option<Reply>) {
    engine.restore_all();
    if let Some(reply) = reply {
        answer(link, reply);
    }
    engine.let_go();
    let finished = Finished {
        released: engine.released,
        ended: engine.ended,
        left: engine.take_all_groups(),
    };
    drop(engine);
    link.mail().finished = Some(finished);
}

fn answer(link: &Link, reply: Reply) {
    link.mail().reply = Some(reply);
    link.changed.notify_all();
}

fn event_fd(fd: OwnedFd) -> EventFd {
    sys::event_fd(fd)
}

/// The tracer should be the last thing that the OOM killer chooses: without it the target dies at
/// its next int3. Lowering the score needs `CAP_SYS_RESOURCE`.
fn outlive_memory_pressure() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
    let _ = std::fs::write("/proc/self/comm", "lr-tracer");
}
