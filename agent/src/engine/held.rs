//! Hits whose thread stands still: it is read, let on, and told of if it stood still throughout.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lr_dwarf::{HitContext, Value};
use lr_protocol::{ActionKind, End, LogEvent, Name, SnapshotEvent, State};
use lr_tracer::{Slot, StoppedRegisters};

use super::action::Action;
use super::trace::BoundSite;
use super::{Engine, level_of};
use crate::convert;
use crate::event::Event;
use crate::reading::{Begun, Progress, Read, Reader, Standing, Wanted};

/// How long the tracer holds a thread at most, from its hit on.
pub(super) const HOLD: Duration = Duration::from_millis(15);
/// When a thread is let on that is not read completely: before the tracer would.
const READ_WITHIN: Duration = Duration::from_millis(12);
/// How long debug info may take to read before an action is planted. It goes on being read after.
const PREPARE: Duration = Duration::from_secs(20);
/// How long the end of a reading is waited for, whose thread has gone on.
const PATIENCE: Duration = Duration::from_secs(5);

/// A hit of a holding slot, out of the ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HeldHit {
    pub(crate) slot: Slot,
    pub(crate) site: u16,
    pub(crate) tid: u32,
    pub(crate) time_ns: u64,
    pub(crate) hits: u64,
    pub(crate) registers: StoppedRegisters,
    pub(crate) extended: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// A hit whose thread has gone on, and what was read of it is still made into something.
#[derive(Debug)]
pub(super) struct Unfinished {
    action_id: String,
    hit: Box<HeldHit>,
    stood_ns: u64,
    since: Instant,
    begun: Begun,
}

impl Engine {
    /// Reads a thread that stands still, and lets it on.
    pub(super) fn read_held(&mut self, hit: Box<HeldHit>) -> Result<(), End> {
        let left = READ_WITHIN.checked_sub(since(hit.time_ns));
        let wanted = self.wanted_of(&hit);
        let pid = self.target.pid;
        let mut reading = None;
        if let (Some(left), Some(wanted)) = (left, wanted)
            && let Some(reader) = self.reader()
        {
            let deadline = Instant::now() + left;
            let begun = reader.begin(Standing {
                pid,
                tid: hit.tid,
                registers: hit.registers,
                extended: hit.extended.clone(),
                wanted,
            });
            let progress = begun.until(deadline);
            reading = Some((begun, progress));
        }
        let stood = match &mut self.tracer {
            Some(tracer) => tracer.let_on(hit.tid, hit.slot, hit.hits),
            None => return Ok(()),
        };
        let stood_ns = match stood {
            Ok(stood) => stood,
            Err(error) => return Err(self.lost_tracer(&error)),
        };
        let Some(id) = self.slots.owner(hit.slot).map(str::to_owned) else {
            return Ok(());
        };
        match (reading, stood_ns) {
            (Some((_, Progress::Done(read))), Some(stood_ns)) => {
                self.tell_held(&id, &hit, stood_ns, Some(*read));
            }
            (Some((begun, Progress::NotYet)), Some(stood_ns)) => {
                self.unfinished.push(Unfinished {
                    action_id: id.clone(),
                    hit,
                    stood_ns,
                    since: Instant::now(),
                    begun,
                });
            }
            (_, stood_ns) => self.tell_held(&id, &hit, stood_ns.unwrap_or(0), None),
        }
        if let Some(action) = self.actions.get_mut(&id)
            && action.state == State::Bound
        {
            action.state = State::Hit;
            self.count(&id);
            self.tell(&id);
        }
        Ok(())
    }

    /// Tells of the hits whose readings have come to their end.
    pub(super) fn tell_finished(&mut self) {
        let mut index = 0;
        while index < self.unfinished.len() {
            match self.unfinished[index].begun.within(Duration::ZERO) {
                Progress::Done(read) => self.finish_reading(index, Some(*read)),
                Progress::Never => self.finish_reading(index, None),
                Progress::NotYet if self.unfinished[index].since.elapsed() > PATIENCE => {
                    // It may sleep in the target's memory for good.
                    self.reader = None;
                    self.finish_reading(index, None);
                }
                Progress::NotYet => index += 1,
            }
        }
    }

    /// The same, waiting for those of one action: what is told of its end comes after them.
    pub(super) fn await_readings(&mut self, id: &str) {
        let is_of = |unfinished: &Unfinished| unfinished.action_id == id;
        while let Some(index) = self.unfinished.iter().position(is_of) {
            match self.unfinished[index].begun.within(PATIENCE) {
                Progress::Done(read) => self.finish_reading(index, Some(*read)),
                Progress::Never => self.finish_reading(index, None),
                Progress::NotYet => {
                    self.reader = None;
                    self.finish_reading(index, None);
                }
            }
        }
    }

    fn finish_reading(&mut self, index: usize, read: Option<Read>) {
        let unfinished = self.unfinished.swap_remove(index);
        let (id, stood_ns) = (unfinished.action_id, unfinished.stood_ns);
        self.tell_held(&id, &unfinished.hit, stood_ns, read);
    }

    /// Opens what the process runs and reads what will be asked at the addresses, before a thread
    /// has to wait for it. Sentences about what cannot be read.
    pub(super) fn prepare_reading(&mut self, addresses: Vec<u64>) -> Vec<String> {
        let mut warnings = Vec::new();
        let generation = self.binder.generation();
        if self.reader().is_none() {
            return vec!["threads cannot be read: the agent cannot start a thread".to_owned()];
        }
        if self.read_generation != Some(generation) {
            let (modules, not_opened) = self.binder.open_all();
            warnings = not_opened;
            self.read_generation = Some(generation);
            if let Some(reader) = &self.reader {
                reader.load(modules);
            }
        }
        if let Some(reader) = &self.reader {
            reader.prepare(self.target.pid, addresses, PREPARE);
        }
        warnings
    }

    /// After something was loaded or unloaded.
    pub(super) fn prepare_again(&mut self) {
        let planted = self.actions.values().filter(|action| action.is_holding());
        let planted = planted.filter_map(|action| action.planted.as_ref());
        let addresses: Vec<u64> = planted.flat_map(|planted| planted.addresses()).collect();
        if !addresses.is_empty() {
            self.prepare_reading(addresses);
        }
    }

    /// The reader; another one where it has failed.
    fn reader(&mut self) -> Option<&Reader> {
        if self.reader.as_ref().is_none_or(Reader::has_ended) {
            self.reader = Reader::start().ok();
            self.read_generation = None;
            let (modules, _) = self.binder.open_all();
            if let Some(reader) = &self.reader {
                reader.load(modules);
                self.read_generation = Some(self.binder.generation());
            }
        }
        self.reader.as_ref()
    }

    fn wanted_of(&self, hit: &HeldHit) -> Option<Wanted> {
        let (action, site) = self.hit_site(hit)?;
        match &action.wanted.spec.kind {
            ActionKind::Snapshot(snapshot) => {
                Some(Wanted::Snapshot(snapshot.clone(), site.layout.layout()))
            }
            _ if site.layout.has_trees() => Some(Wanted::Trees(site.layout.layout())),
            _ => None,
        }
    }

    fn hit_site(&self, hit: &HeldHit) -> Option<(&Action, &BoundSite)> {
        let action = self.actions.get(self.slots.owner(hit.slot)?)?;
        let site = action.planted.as_ref()?.site(hit.site)?;
        Some((action, site))
    }

    /// `read` is nothing where the thread went on before.
    fn tell_held(&mut self, id: &str, hit: &HeldHit, stood_ns: u64, read: Option<Read>) {
        let thread = self.threads.name(hit.tid);
        let Some((action, site)) = self.hit_site(hit) else {
            return;
        };
        let event: Option<Event> = match read {
            Some(Read::Snapshot {
                snapshot,
                stack_hash,
            }) => Some(
                SnapshotEvent {
                    ts: micros(hit.time_ns),
                    // Counted when it is sent.
                    seq: 0,
                    action_id: action.id.clone(),
                    action_version: action.wanted.version,
                    thread,
                    file: site.file.clone(),
                    line: site.line,
                    function: site.function.clone(),
                    stack_hash,
                    stop_ns: stood_ns,
                    snapshot: *snapshot,
                }
                .into(),
            ),
            Some(Read::Trees(trees)) => {
                Some(self.log_of(action, site, hit, &thread, &trees).into())
            }
            // A log is told with a reason in place of what was not read.
            None if matches!(action.wanted.spec.kind, ActionKind::Log(_)) => {
                Some(self.log_of(action, site, hit, &thread, &[]).into())
            }
            None => None,
        };
        let Some(action) = self.actions.get_mut(id) else {
            return;
        };
        let Some(event) = event else {
            return action.went_on();
        };
        match action.way.put(event, &self.writer, &self.outbox) {
            Ok(()) => action.fates.tell(1),
            Err(reason) => action.fates.lose(reason, 1),
        }
    }

    fn log_of(
        &self,
        action: &Action,
        site: &BoundSite,
        hit: &HeldHit,
        thread: &Name,
        trees: &[Value],
    ) -> LogEvent {
        let context = HitContext {
            pid: self.target.pid,
            tid: hit.tid,
            thread,
            time_ns: hit.time_ns,
            hits: hit.hits,
        };
        let rendered = site.layout.render_with(&hit.payload, &context, trees);
        LogEvent {
            ts: micros(hit.time_ns),
            seq: 0,
            action_id: action.id.clone(),
            action_version: action.wanted.version,
            tid: hit.tid,
            thread: thread.clone(),
            file: site.file.clone(),
            line: site.line,
            function: site.function.clone(),
            level: level_of(&action.wanted.spec.kind),
            message: rendered.message,
            fields: rendered.fields.into_iter().map(convert::field).collect(),
        }
    }
}

/// How long ago a hit was. A clock that was set back meanwhile says that it was just now; the
/// tracer, which measures by another, has the last word.
fn since(time_ns: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
        .saturating_sub(Duration::from_nanos(time_ns))
}

fn micros(time_ns: u64) -> i64 {
    i64::try_from(time_ns / 1000).unwrap_or(i64::MAX)
}
