//! The tracer thread: the only one that calls ptrace, and the only one that waits.

use std::collections::HashMap;
use std::sync::Arc;

use nix::sys::eventfd::EventFd;

use crate::command::{ArmAction, Armed, Released, SiteProgram, Slot};
use crate::error::TracerError;
use crate::process::affinity::Follower;
use crate::process::attach::a_thread;
use crate::process::budget::{Bucket, PROCESS_SHARE};
use crate::process::desk::Desk;
use crate::process::monotonic_ns;
use crate::process::proc;
use crate::process::site::{Presence, Site, Sites, User};
use crate::process::slot::{SlotEntry, SlotState};
use crate::process::stop::Stop;
use crate::process::text::{INT3, Restored, Text};
use crate::record::Ended;
use crate::shared::{Counter, SLOTS, Shared};
use crate::sys::{self, StopSignal, WaitEvent, WaitTarget};

/// Stops served before every thread is asked in turn: waitid gives the first of a list, and busy
/// threads at its head would starve the others.
const STOPS_PER_ROUND: u32 = 256;

/// What we remember of a tracee.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread {
    /// Its signal mask blocks SIGTRAP, which each hit undoes.
    pub(crate) blocks_trap: bool,
    pub(crate) hits: u32,
    /// A site whose programs have run and whose instruction has not.
    pub(crate) retry: Option<u64>,
    /// Left in a group-stop.
    pub(crate) listening: bool,
    /// It has made a step of ours, whose SIGTRAP is still to come.
    pub(crate) owes_step_trap: bool,
}

impl Thread {
    pub(crate) fn new(blocks_trap: bool) -> Thread {
        Thread {
            blocks_trap,
            hits: 0,
            retry: None,
            listening: false,
            owes_step_trap: false,
        }
    }
}

/// One attachment. Dropping it restores every byte.
pub(crate) struct Engine {
    pub(crate) pid: i32,
    pub(crate) text: Text,
    pub(crate) threads: HashMap<i32, Thread>,
    pub(crate) sites: Sites,
    pub(crate) desk: Desk,
    pub(crate) follower: Follower,
    pub(crate) process_budget: Bucket,
    pub(crate) released: Released,
    pub(crate) ended: Option<Ended>,
    stops: u32,
    settled: bool,
}

impl Engine {
    /// Takes over threads that this thread has seized.
    pub(crate) fn new(
        pid: i32,
        threads: HashMap<i32, Thread>,
        shared: Arc<Shared>,
        wakeups: Arc<EventFd>,
    ) -> Result<Engine, TracerError> {
        let what = "cannot open the memory of the process";
        let living = a_thread(pid, &threads);
        let text = Text::open(living).map_err(|source| TracerError::System { what, source })?;
        Ok(Engine {
            pid,
            text,
            threads,
            sites: Sites::default(),
            desk: Desk::new(living, shared, wakeups),
            follower: Follower::new(),
            process_budget: Bucket::new(PROCESS_SHARE, monotonic_ns()),
            released: Released::default(),
            ended: None,
            stops: 0,
            settled: false,
        })
    }

    /// Waits for one stop or one wake-up and deals with it.
    pub(crate) fn turn(&mut self) {
        match sys::wait_stop(WaitTarget::Any, true) {
            Ok(WaitEvent::Interrupted | WaitEvent::Nothing) => {}
            Ok(WaitEvent::NoTracees) | Err(_) => self.ended = self.ended.or(Some(Ended::Gone)),
            Ok(event) => self.on_event(event),
        }
        self.stops += 1;
        if self.stops >= STOPS_PER_ROUND {
            self.stops = 0;
            self.serve_all();
        }
    }

    /// Deals with what has already happened. Not with all of it where it comes as fast as it is
    /// dealt with.
    pub(crate) fn drain(&mut self) {
        for _ in 0..STOPS_PER_ROUND {
            match sys::wait_stop(WaitTarget::Any, false) {
                Ok(WaitEvent::Nothing | WaitEvent::NoTracees) | Err(_) => return,
                Ok(event) => self.on_event(event),
            }
        }
        self.serve_all();
    }

    fn serve_all(&mut self) {
        let tids: Vec<i32> = self.threads.keys().copied().collect();
        for tid in tids {
            self.serve(tid);
        }
    }

    /// Deals with what one tracee does at the moment.
    pub(crate) fn serve(&mut self, tid: i32) {
        if let Ok(event) = sys::wait_stop(WaitTarget::Thread(tid), false) {
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: WaitEvent) {
        match event {
            WaitEvent::Stopped { tid, status } => self.on_stop(tid, Stop::decode(status)),
            WaitEvent::Exited { tid, status } => self.on_death(tid, Ended::Exited { status }),
            WaitEvent::Killed { tid, signal } => self.on_death(tid, Ended::Killed { signal }),
            WaitEvent::Nothing | WaitEvent::Interrupted | WaitEvent::NoTracees => {}
        }
    }

    fn on_stop(&mut self, tid: i32, stop: Stop) {
        if !self.threads.contains_key(&tid) && !self.adopt(tid) {
            return;
        }
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.listening = false;
        }
        match stop {
            Stop::Trap => self.on_trap(tid),
            Stop::Signal(signal) => go_on(tid, StopSignal::Deliver(signal)),
            Stop::Group(_) => self.leave_in_group_stop(tid),
            Stop::Event | Stop::Birth => go_on(tid, StopSignal::None),
            Stop::Exec => self.on_exec(tid),
        }
    }

    pub(crate) fn leave_in_group_stop(&mut self, tid: i32) {
        if sys::listen(tid).is_ok()
            && let Some(thread) = self.threads.get_mut(&tid)
        {
            thread.listening = true;
        }
    }

    /// Plants an action; all of its sites or none.
    pub(crate) fn arm(&mut self, action: &ArmAction) -> Result<Vec<Armed>, TracerError> {
        if action.slot.0 >= SLOTS || self.desk.slots.contains_key(&action.slot) {
            return Err(TracerError::Protocol(format!(
                "slot {} is not free",
                action.slot.0
            )));
        }
        self.check_sites(&action.sites)?;
        let new: Vec<u64> = action.sites.iter().map(|site| site.site.address).collect();
        self.sites.make_way(&new, &self.text)?;

        let now = monotonic_ns();
        self.desk.shared.clear(action.slot);
        self.desk
            .slots
            .insert(action.slot, SlotEntry::new(action, now));
        for (index, site) in action.sites.iter().enumerate() {
            if let Err(error) = self.add_user(action.slot, index, site, &new) {
                self.disarm(action.slot);
                return Err(error);
            }
        }
        for &address in &new {
            if let Err(error) = self.plant(address) {
                self.disarm(action.slot);
                return Err(error);
            }
        }
        self.observe(action.slot, true);
        Ok(new.into_iter().map(|address| Armed { address }).collect())
    }

    /// Takes an action away and restores what nobody else uses.
    pub(crate) fn disarm(&mut self, slot: Slot) {
        self.observe(slot, false);
        for address in self.sites.of_slot(slot) {
            if let Some(site) = self.sites.get_mut(address) {
                site.users.retain(|user| user.slot != slot);
            }
            self.unplant_if_unused(address);
        }
        self.desk.slots.remove(&slot);
    }

    /// Unplants a slot's sites where no other active slot uses them.
    pub(crate) fn suspend(&mut self, slot: Slot, state: SlotState) {
        self.observe(slot, false);
        if let Some(entry) = self.desk.slots.get_mut(&slot) {
            entry.state = state;
        }
        for address in self.sites.of_slot(slot) {
            self.unplant_if_unused(address);
        }
    }

    /// Plants again what the stop-time budget had taken away and now allows.
    pub(crate) fn tick(&mut self) {
        let now = monotonic_ns();
        let process_recovered = self.process_budget.has_recovered(now);
        let recovered: Vec<Slot> = self
            .desk
            .slots
            .iter_mut()
            .filter(|(_, entry)| entry.state == SlotState::Paused)
            .filter_map(|(&slot, entry)| {
                (entry.budget.has_recovered(now) && process_recovered).then_some(slot)
            })
            .collect();
        for slot in recovered {
            if let Some(entry) = self.desk.slots.get_mut(&slot) {
                entry.state = SlotState::Active;
            }
            let addresses = self.sites.of_slot(slot);
            let planted = addresses.iter().all(|&address| self.plant(address).is_ok());
            self.observe(slot, planted);
            let pushed = self.desk.producer.resumed(slot);
            self.desk.notify(pushed);
        }
    }

    /// Whether a paused slot waits for [`Self::tick`].
    pub(crate) fn wants_ticks(&self) -> bool {
        self.desk
            .slots
            .values()
            .any(|entry| entry.state == SlotState::Paused)
    }

    /// Restores every byte that is planted.
    pub(crate) fn restore_all(&mut self) {
        let slots: Vec<Slot> = self.desk.slots.keys().copied().collect();
        for slot in slots {
            self.observe(slot, false);
        }
        let planted: Vec<u64> = self.sites.planted().map(|(address, _)| address).collect();
        for address in planted {
            self.unplant(address);
        }
    }

    /// Restores every byte and waits until no thread can be on its way to one. The end of this
    /// thread then frees the target.
    pub(crate) fn let_go(&mut self) {
        self.restore_all();
        self.settle();
        self.settled = true;
    }

    fn check_sites(&self, sites: &[SiteProgram]) -> Result<(), TracerError> {
        if sites.len() > usize::from(u16::MAX) {
            return Err(TracerError::Protocol(format!(
                "{} sites in one action",
                sites.len()
            )));
        }
        let mappings = proc::mappings(a_thread(self.pid, &self.threads));
        for SiteProgram { site, .. } in sites {
            let address = site.address;
            let mapping = mappings
                .iter()
                .find(|m| (m.start..m.end).contains(&address));
            let objection = match mapping {
                Some(mapping) => mapping.objection(),
                None => Some("not mapped".to_owned()),
            };
            if let Some(mapping) = objection {
                return Err(TracerError::TextNotPrivate { address, mapping });
            }
            self.check_text(site.address, &site.code)?;
        }
        Ok(())
    }

    /// The text must be the file's, but for our own bytes.
    fn check_text(&self, address: u64, expected: &[u8]) -> Result<(), TracerError> {
        let mut found = vec![0; expected.len()];
        let what = "cannot read the text";
        self.text
            .read(address, &mut found)
            .map_err(|source| TracerError::System { what, source })?;
        for (offset, (&expected, &found)) in expected.iter().zip(&found).enumerate() {
            let at = address + offset as u64;
            let ours = found == INT3
                && self
                    .sites
                    .get(at)
                    .is_some_and(|site| site.presence == Presence::Planted);
            if found != expected && !ours || offset == 0 && expected == INT3 {
                return Err(TracerError::TextPatched {
                    address: at,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    fn add_user(
        &mut self,
        slot: Slot,
        index: usize,
        wanted: &SiteProgram,
        new: &[u64],
    ) -> Result<(), TracerError> {
        let plan = &wanted.site;
        let user = User {
            slot,
            index: u16::try_from(index).expect("checked with the sites"),
            program: Arc::new(wanted.program.clone()),
        };
        let known_and_same = self
            .sites
            .get(plan.address)
            .is_some_and(|site| site.presence == Presence::Planted || site.plan.code == plan.code);
        if !known_and_same {
            let malformed = || TracerError::Protocol("malformed site".to_owned());
            self.sites
                .insert(plan.address, Site::new(plan.clone()).ok_or_else(malformed)?);
        }
        // A ghost's twin may have become a site meanwhile.
        let twin = self.sites.pick_twin(plan, &self.text, new)?;
        let site = self
            .sites
            .get_mut(plan.address)
            .expect("inserted above if it was not there");
        if site.presence == Presence::Ghost {
            site.twin = twin;
            site.plan = plan.clone();
        }
        site.users.push(user);
        Ok(())
    }

    fn plant(&mut self, address: u64) -> Result<(), TracerError> {
        let Some(site) = self.sites.get_mut(address) else {
            return Ok(());
        };
        if site.presence == Presence::Planted {
            return Ok(());
        }
        let what = "cannot write a breakpoint";
        self.text
            .plant(address, site.original)
            .map_err(|source| TracerError::System { what, source })?;
        site.presence = Presence::Planted;
        Ok(())
    }

    fn unplant_if_unused(&mut self, address: u64) {
        let Some(site) = self.sites.get(address) else {
            return;
        };
        let active = |user: &User| {
            self.desk
                .slots
                .get(&user.slot)
                .is_some_and(|entry| entry.state == SlotState::Active)
        };
        if !site.users.iter().any(active) {
            self.unplant(address);
        }
    }

    fn unplant(&mut self, address: u64) {
        let Some(site) = self.sites.get_mut(address) else {
            return;
        };
        if site.presence == Presence::Ghost {
            return;
        }
        site.presence = Presence::Ghost;
        match self.text.restore(address, site.original) {
            Restored::Yes => self.released.restored += 1,
            Restored::Foreign => self.released.foreign += 1,
            Restored::Unmapped => {}
        }
    }

    /// Begins or ends the time for which a slot's hits are known.
    fn observe(&self, slot: Slot, planted: bool) {
        let now = monotonic_ns();
        let since = self.desk.shared.counter(slot, Counter::PlantedSince);
        let began = since.load(std::sync::atomic::Ordering::Relaxed);
        if began != 0 {
            self.desk
                .shared
                .add(slot, Counter::ObservedNs, now.saturating_sub(began));
        }
        since.store(
            if planted { now } else { 0 },
            std::sync::atomic::Ordering::Relaxed,
        );
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A panic leads here with bytes planted; the end of the thread then frees the target.
        if !self.settled {
            self.let_go();
        }
    }
}

/// Continues a thread. One that is gone meanwhile needs nothing.
pub(crate) fn go_on(tid: i32, signal: StopSignal) {
    let _ = sys::continue_with(tid, signal);
}
