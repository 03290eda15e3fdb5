//! The thread that owns the tracer: it makes what is planted be what is wanted, and turns records
//! into events.
//!
//! Constraints, and what follows from them:
//! - It may block on the tracer and on debug info, so it shares nothing with the network but the
//!   two mailboxes [`Orders`] and [`Outbox`].
//! - It knows no server, no session and no agent id: what it tells is true whoever hears it.
//! - However it ends, the tracer process notices and puts everything back.

mod action;
mod binding;
mod counting;
mod errors;
mod events;
mod fates;
mod held;
mod layouts;
mod output;
mod planted;
mod rows;
mod slots;
mod target;
mod threads;
mod trace;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lr_protocol::{ActionKind, End, EndReason, State, WantedAction, WantedActions};
use lr_tracer::{Aside, Ended, Groups, TracerError};

pub(crate) use output::{Stream, Writer};
pub(crate) use target::Target;
pub(crate) use trace::{Bind, BindRequest, Bound, BoundSite, StartTracer, Trace};

use crate::clock::now_micros;
use crate::courtesy;
use crate::note::note;
use crate::orders::{Finish, Orders};
use crate::outbox::Outbox;
use crate::reading::Reader;
use action::Action;
use events::Notice;
use held::Unfinished;
use slots::Slots;
use threads::ThreadNames;
use wanted::{Change, Held, changes};

pub(crate) struct Engine {
    target: Target,
    writer: Writer,
    binder: Box<dyn Bind>,
    start_tracer: StartTracer,
    tracer: Option<Box<dyn Trace>>,
    actions: BTreeMap<String, Action>,
    slots: Slots,
    reader: Option<Reader>,
    /// Where there is a target that runs.
    aside: Option<Aside>,
    /// Of the modules that the reader has.
    read_generation: Option<u64>,
    unfinished: Vec<Unfinished>,
    threads: ThreadNames,
    orders: Arc<Orders>,
    outbox: Arc<Outbox>,
    next_second: Instant,
    next_look: Instant,
    /// Looking takes at most one part in so many of the time.
    look_share: u32,
    /// Since when the target is known to be gone without a word from the tracer.
    gone_since: Option<Instant>,
}

/// How long a record or an order may wait to be noticed.
const NAP: Duration = Duration::from_millis(20);
/// The same where nothing is planted: there are no records then.
const REST: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);
/// How often the target's life is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// See [`Engine::look_share`].
const LOOK_SHARE: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the word of a tracer that lives on the end of a target is waited for: it knows the
/// status. A machine with much to do may not give it its turn for seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// More records than the ring can hold: what was in it at one moment has been read after so many.
const RING_RECORDS: usize = 200_000;
/// Records that are read between two looks at the orders.
const ROUND: usize = 5_000;

impl Engine {
    pub(crate) fn new(
        target: Target,
        writer: Writer,
        binder: Box<dyn Bind>,
        start_tracer: StartTracer,
        orders: Arc<Orders>,
        outbox: Arc<Outbox>,
    ) -> Engine {
        let now = Instant::now();
        Engine {
            threads: ThreadNames::new(target.pid),
            target,
            writer,
            binder,
            start_tracer,
            tracer: None,
            actions: BTreeMap::new(),
            slots: Slots::default(),
            reader: None,
            aside: None,
            read_generation: None,
            unfinished: Vec::new(),
            orders,
            outbox,
            next_second: now + SECOND,
            next_look: now,
            look_share: LOOK_SHARE,
            gone_since: None,
        }
    }

    /// Works until the attachment has ended; the last thing in the outbox says how.
    /// It keeps `aside`, which was made by this thread.
    pub(crate) fn run(mut self, aside: Aside) {
        self.aside = Some(aside);
        let mut next_aside = Instant::now();
        let end = loop {
            if self.orders.are_there() || Instant::now() >= next_aside {
                self.step_aside();
                next_aside = Instant::now() + SECOND;
            }
            if let Some(end) = self.step(Instant::now()) {
                break end;
            }
            match &self.tracer {
                Some(tracer) if self.is_planted() => tracer.wait(NAP),
                _ if self.is_waiting() => self.orders.wait(REST / 4),
                _ => self.orders.wait(REST),
            }
        };
        note(&format!("the attachment ends: {}", end.message));
        self.outbox.put_end(end);
    }

    /// Everything that is due at `now`.
    pub(crate) fn step(&mut self, now: Instant) -> Option<End> {
        let orders = self.orders.take();
        if let Some((wanted, received)) = &orders.wanted
            && let Err(end) = self.follow(wanted, *received, now)
        {
            return Some(end);
        }
        courtesy::is_waited_for(self.is_holding());
        if orders.report_all {
            for action in self.actions.values() {
                self.outbox.put_status(action.status());
            }
        }
        if let Err(end) = self.drain(ROUND) {
            return Some(end);
        }
        self.tell_finished();
        if let Some(finish) = &orders.finish {
            return Some(self.finish(finish));
        }
        self.expire(now).err().or_else(|| self.tick(now))
    }

    /// Whether an action is to be bound as soon as something is loaded.
    fn is_waiting(&self) -> bool {
        self.actions
            .values()
            .any(|action| action.state == State::Pending)
    }

    fn is_planted(&self) -> bool {
        self.actions.values().any(|action| action.planted.is_some())
    }

    /// Leaves their CPUs to the threads of the target, unless they wait for us.
    fn step_aside(&mut self) {
        let is_holding = self.is_holding();
        if let Some(aside) = &mut self.aside {
            match is_holding {
                true => aside.come_back(),
                false => aside.look(),
            }
        }
    }

    /// From now on threads may stand still for us.
    fn be_ready_to_read(&mut self) {
        courtesy::is_waited_for(true);
        if let Some(aside) = &mut self.aside {
            aside.come_back();
        }
    }

    /// Whether threads may stand still for us.
    fn is_holding(&self) -> bool {
        let mut planted = self.actions.values().filter(|a| a.planted.is_some());
        planted.any(Action::is_holding)
    }

    // What is wanted.

    fn follow(
        &mut self,
        wanted: &WantedActions,
        received: Instant,
        now: Instant,
    ) -> Result<(), End> {
        let held = self.actions.iter().map(|(id, action)| {
            let held = Held {
                version: action.wanted.version,
                enabled: action.wanted.enabled,
            };
            (id.clone(), held)
        });
        for change in changes(&held.collect(), &wanted.actions) {
            match change {
                Change::Remove(id) => {
                    self.stop(&id, State::Removed)?;
                    self.actions.remove(&id);
                }
                Change::Add(action) => self.add(action, received, now)?,
                Change::Replace(action) => {
                    self.unplant(&action.action_id)?;
                    self.actions.remove(&action.action_id);
                    self.add(action, received, now)?;
                }
                Change::Enable(wanted) => {
                    let id = wanted.action_id.clone();
                    if let Some(action) = self.actions.get_mut(&id) {
                        action.wanted = wanted;
                    }
                    self.plant(&id, now)?;
                }
                Change::Disable(wanted) => {
                    let id = wanted.action_id.clone();
                    self.stop(&id, State::Disabled)?;
                    if let Some(action) = self.actions.get_mut(&id) {
                        action.wanted = wanted;
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, wanted: WantedAction, received: Instant, now: Instant) -> Result<(), End> {
        let id = wanted.action_id.clone();
        let is_enabled = wanted.enabled;
        self.actions
            .insert(id.clone(), Action::new(wanted, received));
        if is_enabled {
            self.plant(&id, now)
        } else {
            self.stop(&id, State::Disabled)
        }
    }

    /// Takes an action out of the target and tells its last counts. A final state stays.
    fn stop(&mut self, id: &str, state: State) -> Result<(), End> {
        self.unplant(id)?;
        if let Some(action) = self.actions.get_mut(id)
            && !action.state.is_final()
        {
            action.forget_what_it_waits_for();
            action.state = state;
            self.tell(id);
        }
        Ok(())
    }

    /// Takes an action out of the target and counts everything that it saw.
    fn unplant(&mut self, id: &str) -> Result<(), End> {
        let slot = match self
            .actions
            .get(id)
            .and_then(|action| action.planted.as_ref())
        {
            Some(planted) => planted.slot,
            None => return Ok(()),
        };
        let last = match self.tracer.as_mut().map(|tracer| tracer.disarm(slot)) {
            Some(Ok(last)) => Some(last),
            Some(Err(error)) => return Err(self.lost_tracer(&error)),
            None => None,
        };
        // Its records are in the ring still; none follow.
        self.drain(RING_RECORDS)?;
        self.unplanted(id, last);
        Ok(())
    }

    /// The bytes are back and the records are read. `last` is what the tracer gave with the slot.
    fn unplanted(&mut self, id: &str, last: Option<Groups>) {
        self.await_readings(id);
        self.settle_output(id);
        match last {
            Some(last) => self.count_with(id, Some(last)),
            None => self.count(id),
        }
        // The rows of what was counted until now went there too.
        self.settle_output(id);
        self.count_rest(id);
        if let Some(action) = self.actions.get_mut(id)
            && let Some(planted) = &action.planted
        {
            self.slots.free(planted.slot);
            action.unplanted();
        }
    }

    fn tell(&mut self, id: &str) {
        if let Some(action) = self.actions.get_mut(id)
            && let Some(status) = action.news()
        {
            self.outbox.put_status(status);
        }
    }

    // What happens.

    /// Turns up to `limit` records into events.
    fn drain(&mut self, limit: usize) -> Result<(), End> {
        for _ in 0..limit {
            match self.next_notice() {
                None => return Ok(()),
                Some(Notice::Hit { first_of: None }) => {}
                Some(Notice::Hit { first_of: Some(id) }) => {
                    if let Some(action) = self.actions.get_mut(&id) {
                        action.state = State::Hit;
                    }
                    self.count(&id);
                    self.tell(&id);
                }
                Some(Notice::Held(hit)) => self.read_held(hit)?,
                Some(Notice::Done(slot)) => self.done(slot)?,
                Some(Notice::Paused(slot)) => self.change_state(slot, State::Paused),
                Some(Notice::Resumed(slot)) => self.change_state(slot, State::Bound),
                Some(Notice::Ended(ended)) => return Err(self.target_ended(ended)),
            }
        }
        Ok(())
    }

    fn next_notice(&mut self) -> Option<Notice> {
        let record = self.tracer.as_mut()?.next_record()?;
        Some(events::take(
            record,
            &self.target,
            &self.slots,
            &mut self.actions,
            &mut self.threads,
            (&self.writer, &self.outbox),
        ))
    }

    fn done(&mut self, slot: lr_tracer::Slot) -> Result<(), End> {
        let Some(id) = self.slots.owner(slot).map(str::to_owned) else {
            return Ok(());
        };
        // Frees the slot; the bytes are back already.
        let last = match self.tracer.as_mut().map(|tracer| tracer.disarm(slot)) {
            Some(Ok(last)) => Some(last),
            Some(Err(error)) => return Err(self.lost_tracer(&error)),
            None => None,
        };
        self.unplanted(&id, last);
        let Some(action) = self.actions.get_mut(&id) else {
            return Ok(());
        };
        if action.state.is_final() {
            return Ok(());
        }
        if action.tries_again() {
            return self.plant(&id, Instant::now());
        }
        action.state = State::Done;
        self.tell(&id);
        Ok(())
    }

    fn change_state(&mut self, slot: lr_tracer::Slot, state: State) {
        let Some(id) = self.slots.owner(slot).map(str::to_owned) else {
            return;
        };
        if let Some(action) = self.actions.get_mut(&id) {
            let pause = i64::try_from(lr_tracer::PAUSE.as_micros()).unwrap_or(0);
            action.paused_until = Some(now_micros() + pause);
            action.state = match state {
                State::Bound if action.counts().kept > 0 => State::Hit,
                state => state,
            };
        }
        self.tell(&id);
    }

    // What is due.

    fn expire(&mut self, now: Instant) -> Result<(), End> {
        let is_due = |action: &Action| now >= action.deadline && !action.state.is_final();
        let due: Vec<String> = self
            .actions
            .iter()
            .filter(|(_, action)| is_due(action))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.stop(&id, State::Expired)?;
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Option<End> {
        if now >= self.next_second {
            self.next_second = (self.next_second + SECOND).max(now);
            let ids: Vec<String> = self.actions.keys().cloned().collect();
            for id in ids {
                self.count(&id);
                if let Err(end) = self.end_unwritable(&id) {
                    return Some(end);
                }
                self.tell(&id);
            }
        }
        if now >= self.next_look {
            self.next_look = now + LOOK;
            let begun = Instant::now();
            let end = self.look(now).or_else(|| self.follow_modules(now).err());
            // Tens of thousands of mappings take their time to read: not more than this share.
            let pause = (begun.elapsed() * self.look_share).clamp(LOOK, LONGEST_PAUSE);
            self.next_look = now + pause;
            return end;
        }
        None
    }

    /// Nobody would see what an action sees whose output takes nothing any more.
    fn end_unwritable(&mut self, id: &str) -> Result<(), End> {
        let action = self.actions.get(id);
        let planted = action.filter(|action| action.planted.is_some());
        let failure = planted.and_then(|action| action.way.failure());
        if let Some(failure) = failure {
            self.unplant(id)?;
            self.has_failed(id, failure);
        }
        Ok(())
    }

    fn look(&mut self, now: Instant) -> Option<End> {
        let Some(end) = self.target.end() else {
            let tracer = self.tracer.as_mut();
            let has_died = tracer.is_some_and(|tracer| !tracer.is_alive());
            return has_died.then(|| self.lost_tracer(&TracerError::Died));
        };
        // The tracer may hold the target's last records and its exit status.
        let since = *self.gone_since.get_or_insert(now);
        let may_tell = self.tracer.as_mut().is_some_and(|tracer| tracer.is_alive());
        if self.is_planted() && may_tell && now < since + PATIENCE {
            return None;
        }
        Some(self.ended(end))
    }

    // How it ends.

    fn finish(&mut self, finish: &Finish) -> End {
        let ids: Vec<String> = self.actions.keys().cloned().collect();
        for id in ids {
            if let Err(end) = self.stop(&id, State::Removed) {
                return end;
            }
        }
        let mut end = End {
            ts: now_micros(),
            reason: finish.reason,
            message: finish.message.clone(),
            restored: 0,
        };
        match self.tracer.as_mut().map(|tracer| tracer.release()) {
            None => {}
            Some(Ok(released)) => {
                end.restored = released.restored;
                if released.foreign > 0 {
                    end.message.push_str(&format!(
                        "; {} sites had been changed by another tool and were left alone",
                        released.foreign
                    ));
                }
            }
            Some(Err(error)) => return self.lost_tracer(&error),
        }
        self.tracer = None;
        end
    }

    /// The tracer has seen the end.
    fn target_ended(&mut self, ended: Ended) -> End {
        let pid = self.target.pid;
        let (reason, message) = match ended {
            Ended::Exited { status } => (
                EndReason::Exited,
                format!("process {pid} exited with status {status}"),
            ),
            Ended::Killed { signal } => (
                EndReason::Killed,
                format!(
                    "process {pid} was killed by {}",
                    errors::signal_name(signal)
                ),
            ),
            Ended::Execed => (
                EndReason::Execed,
                format!("process {pid} runs another program now"),
            ),
            Ended::Gone => (EndReason::Exited, format!("process {pid} is gone")),
        };
        self.ended(End {
            ts: now_micros(),
            reason,
            message,
            restored: 0,
        })
    }

    /// Whatever was planted is gone with the program that it was planted in.
    fn ended(&mut self, end: End) -> End {
        let ids: Vec<String> = self.actions.keys().cloned().collect();
        for id in ids {
            self.unplanted(&id, None);
            if let Some(action) = self.actions.get_mut(&id)
                && !action.state.is_final()
            {
                action.forget_what_it_waits_for();
                action.state = State::Gone;
                action.last_error = Some(end.message.clone());
            }
            self.tell(&id);
        }
        self.tracer = None;
        end
    }

    /// The tracer process does not answer any more.
    fn lost_tracer(&mut self, error: &TracerError) -> End {
        // A target that ends takes the tracer's work away, which is no fault of the tracer.
        if let Some(end) = self.target.end() {
            return self.ended(end);
        }
        let mut status = errors::of_tracer(error, self.target.pid);
        let tracer = match error {
            TracerError::Died => self.tracer.as_mut(),
            _ => None,
        };
        let rescued = tracer.and_then(|tracer| tracer.take_rescued());
        if let Some(rescued) = rescued {
            status.message.push_str(&errors::of_rescue(rescued));
        }
        let message = status.message.clone();
        let ids: Vec<String> = self.actions.keys().cloned().collect();
        for id in ids {
            self.unplanted(&id, None);
            if let Some(action) = self.actions.get_mut(&id)
                && !action.state.is_final()
            {
                action.state = State::Error;
                action.error = Some(status.clone());
            }
            self.tell(&id);
        }
        self.tracer = None;
        End {
            ts: now_micros(),
            reason: EndReason::Failed,
            message,
            restored: rescued.map_or(0, |rescued| rescued.restored),
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("target", &self.target)
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

/// What the level of a log is; other kinds have none.
fn level_of(kind: &ActionKind) -> lr_protocol::Level {
    match kind {
        ActionKind::Log(log) => log.level,
        _ => lr_protocol::Level::default(),
    }
}

#[cfg(test)]
mod churn;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
