//! The tracer thread: the only one that calls ptrace, and the only one that waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::sys::eventfd::EventFd;

use crate::command::{AmendAction, ArmAction, Armed, Released, SiteProgram, Slot};
use crate::error::TracerError;
use crate::groups::Groups;
use crate::journal::JournalWriter;
use crate::process::attach::a_thread;
use crate::process::budget::{Bucket, PROCESS_SHARE};
use crate::process::cost::{StopClock, WakeCosts};
use crate::process::courtesy::Aside;
use crate::process::deference::Deference;
use crate::process::desk::Desk;
use crate::process::hold::{Alarm, Held};
use crate::process::life::is_outside;
use crate::process::monotonic_ns;
use crate::process::placement::Follower;
use crate::process::proc::{self, Backing, Mapping, Mappings, TRAP_BIT};
use crate::process::site::{Presence, Site, Sites, User};
use crate::process::slot::{SlotEntry, SlotState, Yields};
use crate::process::step::Step;
use crate::process::step_watch::StepWatch;
use crate::process::text::{INT3, Restored, Text};
use crate::process::turns::Turns;
use crate::record::Ended;
use crate::shared::{Counter, SLOTS, Shared};

/// Sites that are all read again each time that they are verified.
const MOST_READ: usize = 64;

/// What we remember of a tracee.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thread {
    /// A signal mask of its that blocks SIGTRAP, which each hit undoes.
    pub(crate) mask_with_trap: Option<u64>,
    pub(crate) hits: u32,
    /// How many of its system calls are still to be looked at.
    pub(crate) calls_to_watch: u16,
    /// A site whose programs have run and whose instruction has not.
    pub(crate) retry: Option<u64>,
    /// Left in a group-stop.
    pub(crate) listening: bool,
    /// It has made a step of ours, whose SIGTRAP is still to come.
    pub(crate) owes_step_trap: bool,
    /// When it went on from its last hit, on the monotonic clock.
    pub(crate) running_since: u64,
}

impl Thread {
    /// Of a thread with this signal mask.
    pub(crate) fn new(mask: u64) -> Thread {
        Thread {
            mask_with_trap: Some(mask).filter(|mask| mask & TRAP_BIT != 0),
            hits: 0,
            calls_to_watch: 0,
            retry: None,
            listening: false,
            owes_step_trap: false,
            running_since: monotonic_ns(),
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
    pub(crate) clock: StopClock,
    pub(crate) process_budget: Bucket,
    /// A stop has cost more than was left of it.
    pub(crate) process_is_over: bool,
    /// Steps that wait for a page, by thread.
    pub(crate) long_steps: HashMap<i32, Step>,
    pub(crate) step_watch: Arc<StepWatch>,
    /// Those for whom every byte is back, until they have gone elsewhere.
    pub(crate) aside_for: Vec<i32>,
    /// Whether programs that our tracees start keep the privilege that they gain.
    pub(crate) may_trace_all: bool,
    /// Every byte is back, and the target is about to be free.
    pub(crate) is_leaving: bool,
    /// Threads that stand still for the agent.
    pub(crate) held: Vec<Held>,
    pub(crate) alarm: Alarm,
    pub(crate) released: Released,
    pub(crate) ended: Option<Ended>,
    pub(crate) turns: Turns,
    /// When [`Self::expire`] has something to do, on the monotonic clock.
    pub(crate) next_expiry: Option<u64>,
    /// When every planted site was last known to be there.
    verified_at: u64,
    settled: bool,
}

impl Engine {
    /// Takes over threads that this thread has seized.
    pub(crate) fn new(
        pid: i32,
        threads: HashMap<i32, Thread>,
        shared: Arc<Shared>,
        wakeups: Arc<EventFd>,
        deference: Arc<Deference>,
        costs: Arc<WakeCosts>,
        step_watch: Arc<StepWatch>,
    ) -> Result<Engine, TracerError> {
        let what = "cannot open the memory of the process";
        let living = a_thread(pid, &threads);
        let text = Text::open_with(living, JournalWriter::new(shared.clone()))
            .map_err(|source| TracerError::System { what, source })?;
        Ok(Engine {
            pid,
            text,
            threads,
            sites: Sites::default(),
            desk: Desk::new(living, shared, wakeups),
            follower: Follower::new(deference),
            clock: StopClock::new(costs),
            process_budget: Bucket::new(PROCESS_SHARE, monotonic_ns()),
            process_is_over: false,
            long_steps: HashMap::new(),
            step_watch,
            aside_for: Vec::new(),
            may_trace_all: proc::may_trace_all(),
            is_leaving: false,
            held: Vec::new(),
            alarm: Alarm::default(),
            released: Released::default(),
            ended: None,
            turns: Turns::default(),
            next_expiry: None,
            verified_at: monotonic_ns(),
            settled: false,
        })
    }

    /// Plants an action wherever that may be; an error if it is nowhere.
    pub(crate) fn arm(&mut self, action: &ArmAction) -> Result<Armed, TracerError> {
        if action.slot.0 >= SLOTS || self.desk.slots.contains_key(&action.slot) {
            return Err(TracerError::Protocol(format!(
                "slot {} is not free",
                action.slot.0
            )));
        }
        let sites: Vec<(u16, &SiteProgram)> = (0..).zip(&action.sites).collect();
        if sites.len() < action.sites.len() {
            let count = action.sites.len();
            return Err(TracerError::Protocol(format!(
                "{count} sites in one action"
            )));
        }
        self.desk.shared.clear(action.slot);
        let entry = SlotEntry::new(action, monotonic_ns());
        self.desk.slots.insert(action.slot, entry);
        self.plan_expiry();
        let mut armed = self.add_sites(action.slot, &sites);
        if armed.planted.is_empty() && !armed.refused.is_empty() {
            self.disarm(action.slot);
            return Err(armed.refused.swap_remove(0).1);
        }
        self.observe(action.slot, true);
        Ok(armed)
    }

    /// Gives up sites of an action and plants it at others. It goes on counting, and what stays is
    /// planted all the while.
    pub(crate) fn amend(&mut self, change: &AmendAction) -> Result<Armed, TracerError> {
        let slot = change.slot;
        if !self.desk.slots.contains_key(&slot) {
            let message = format!("slot {} is not armed", slot.0);
            return Err(TracerError::Protocol(message));
        }
        let map = self.text_map();
        for &address in &change.remove {
            if let Some(site) = self.sites.get_mut(address) {
                site.users.retain(|user| user.slot != slot);
            }
            self.unplant_if_unused(address, map.as_ref());
        }
        let sites: Vec<(u16, &SiteProgram)> = change
            .add
            .iter()
            .map(|(index, site)| (*index, site))
            .collect();
        let armed = self.add_sites(slot, &sites);
        let is_planted = |address: &u64| {
            let site = self.sites.get(*address);
            site.is_some_and(|site| site.presence == Presence::Planted)
        };
        let is_active = self.desk.slots[&slot].state == SlotState::Active;
        let is_observed = is_active && self.sites.of_slot(slot).iter().any(is_planted);
        self.observe(slot, is_observed);
        Ok(armed)
    }

    /// The planted sites that are not what they were: unloaded, loaded again, changed by another
    /// tool, or without a twin. They are given up; what they would have seen is not known since
    /// the last time that this was asked. `map` was read a moment ago.
    pub(crate) fn verify(&mut self, map: Option<&Mappings>) -> Vec<u64> {
        let Some(map) = map.filter(|_| self.ended.is_none()) else {
            return Vec::new();
        };
        let mut planted: Vec<u64> = self.sites.planted().map(|(address, _)| address).collect();
        planted.sort_unstable();
        // Threads that hit a site meanwhile wait for us. Where there are many sites, one of each
        // mapping is read: a library is loaded again as a whole.
        let reads_all = planted.len() <= MOST_READ;
        let mut lost = Vec::new();
        let mut intact_mapping = None;
        for address in planted {
            let mapping = map.at(address).map(Mapping::start);
            let is_there = match mapping.is_some() && mapping == intact_mapping && !reads_all {
                true => self.is_mapped_the_same(address, map),
                false => self.is_intact(address, map),
            };
            if is_there {
                intact_mapping = mapping;
            }
            if !is_there {
                self.unplant(address, Some(map));
                lost.push(address);
            }
        }
        if !lost.is_empty() {
            self.observe_no_longer_where_nothing_is(self.verified_at);
        }
        self.verified_at = monotonic_ns();
        lost
    }

    fn is_mapped_the_same(&self, address: u64, map: &Mappings) -> bool {
        let site = self.sites.get(address);
        site.is_some_and(|site| site.may_be_at(address, Some(map)))
    }

    fn is_intact(&self, address: u64, map: &Mappings) -> bool {
        let mut byte = [0];
        self.is_mapped_the_same(address, map)
            && self.text.read(address, &mut byte).is_ok()
            && byte[0] == INT3
            && self.sites.has_its_twin(address, &self.text)
    }

    fn observe_no_longer_where_nothing_is(&self, since: u64) {
        for &slot in self.desk.slots.keys() {
            let is_planted = |address: &u64| {
                let site = self.sites.get(*address);
                site.is_some_and(|site| site.presence == Presence::Planted)
            };
            if !self.sites.of_slot(slot).iter().any(is_planted) {
                self.observe_until(slot, since);
            }
        }
    }

    /// Takes an action away and restores what nobody else uses. What it had counted since that was
    /// asked last.
    pub(crate) fn disarm(&mut self, slot: Slot) -> Groups {
        self.free_of(slot);
        self.observe(slot, false);
        let map = self.text_map();
        for address in self.sites.of_slot(slot) {
            if let Some(site) = self.sites.get_mut(address) {
                site.users.retain(|user| user.slot != slot);
            }
            self.unplant_if_unused(address, map.as_ref());
        }
        let groups = self.take_groups(slot);
        self.desk.slots.remove(&slot);
        self.plan_expiry();
        groups
    }

    /// What a slot has counted since it was asked last; of one that does not count, its counters.
    pub(crate) fn take_groups(&mut self, slot: Slot) -> Groups {
        let groups = match self
            .desk
            .slots
            .get_mut(&slot)
            .map(|entry| &mut entry.yields)
        {
            Some(Yields::Count(tally)) => tally.take(),
            _ => Vec::new(),
        };
        Groups {
            counters: self.desk.shared.counters(slot, monotonic_ns()),
            groups,
        }
    }

    /// What nobody has asked for.
    pub(crate) fn take_all_groups(&mut self) -> HashMap<Slot, Groups> {
        let slots: Vec<Slot> = self.desk.slots.keys().copied().collect();
        slots
            .into_iter()
            .map(|slot| (slot, self.take_groups(slot)))
            .collect()
    }

    /// Unplants a slot's sites where no other active slot uses them.
    pub(crate) fn suspend(&mut self, slot: Slot, state: SlotState) {
        self.observe(slot, false);
        if let Some(entry) = self.desk.slots.get_mut(&slot) {
            entry.state = state;
        }
        let map = self.text_map();
        for address in self.sites.of_slot(slot) {
            self.unplant_if_unused(address, map.as_ref());
        }
    }

    /// Plants again what the stop-time budget had taken away and now allows.
    pub(crate) fn tick(&mut self) {
        self.come_back();
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
            self.plant_all_of(slot);
            let pushed = self.desk.producer.resumed(slot);
            self.desk.notify(pushed);
        }
    }

    /// Plants all sites of a slot, and observes it from now on.
    pub(crate) fn plant_all_of(&mut self, slot: Slot) {
        let addresses = self.sites.of_slot(slot);
        let map = self.text_map();
        let mut planted = false;
        for address in addresses {
            planted |= self.plant(address, map.as_ref()).is_ok();
        }
        self.observe(slot, planted);
    }

    /// Unplants what has no time left, whatever the agent does.
    pub(crate) fn expire(&mut self) {
        if self.next_expiry.is_none_or(|next| monotonic_ns() < next) {
            return;
        }
        let now = monotonic_ns();
        let slots = self.desk.slots.iter();
        let overdue: Vec<Slot> = slots
            .filter(|(_, entry)| entry.expires_at().is_some_and(|at| at <= now))
            .map(|(&slot, _)| slot)
            .collect();
        for slot in overdue {
            self.suspend(slot, SlotState::Expired);
        }
        self.plan_expiry();
    }

    fn plan_expiry(&mut self) {
        let slots = self.desk.slots.values();
        self.next_expiry = slots.filter_map(SlotEntry::expires_at).min();
    }

    /// Whether a paused slot waits for [`Self::tick`].
    pub(crate) fn wants_ticks(&self) -> bool {
        self.desk
            .slots
            .values()
            .any(|entry| entry.state == SlotState::Paused)
            || !self.aside_for.is_empty()
    }

    /// Restores every byte that is planted.
    pub(crate) fn restore_all(&mut self) {
        let slots: Vec<Slot> = self.desk.slots.keys().copied().collect();
        for slot in slots {
            self.observe(slot, false);
        }
        let map = self.text_map();
        let planted: Vec<u64> = self.sites.planted().map(|(address, _)| address).collect();
        for address in planted {
            self.unplant(address, map.as_ref());
        }
    }

    /// Restores every byte and waits until no thread can be on its way to one. The end of this
    /// thread then frees the target.
    pub(crate) fn let_go(&mut self) {
        self.follower.roam();
        self.restore_all();
        self.is_leaving = true;
        self.free_all();
        let _aside = Aside::within(self.pid.cast_unsigned(), self.follower.allowed());
        self.settle();
        self.settled = true;
    }

    /// Plants a slot's sites where that may be.
    fn add_sites(&mut self, slot: Slot, sites: &[(u16, &SiteProgram)]) -> Armed {
        let map = self.text_map();
        let mut armed = Armed::default();
        let mut admitted = Vec::new();
        for &(index, site) in sites {
            match self.check_site(site, map.as_ref()) {
                Ok(backing) => admitted.push((index, site, backing)),
                Err(error) => armed.refused.push((site.site.address, error)),
            }
        }
        let new: Vec<u64> = admitted
            .iter()
            .map(|(_, site, _)| site.site.address)
            .collect();
        let is_active =
            self.desk.slots.get(&slot).map(|entry| entry.state) == Some(SlotState::Active);
        for (index, site, backing) in admitted {
            let address = site.site.address;
            let mut added = self.sites.make_way(address, &new, &self.text);
            if added.is_ok() {
                added = self.add_user((slot, index), site, backing, &new);
            }
            if added.is_ok() && is_active {
                added = self.plant(address, map.as_ref());
            }
            match added {
                Ok(()) => armed.planted.push(address),
                Err(error) => {
                    if let Some(site) = self.sites.get_mut(address) {
                        site.users.retain(|user| user.slot != slot);
                    }
                    armed.refused.push((address, error));
                }
            }
        }
        armed
    }

    /// Whether a byte may be changed there, and which byte of a file that is.
    fn check_site(
        &self,
        wanted: &SiteProgram,
        map: Option<&Mappings>,
    ) -> Result<Backing, TracerError> {
        let address = wanted.site.address;
        let mapping = map.and_then(|map| map.at(address));
        let objection = match mapping {
            Some(mapping) => mapping.objection(),
            None => Some("not mapped".to_owned()),
        };
        let backing = map.and_then(|map| map.backing(address));
        match (objection, backing) {
            (None, Some(backing)) => {
                self.check_text(address, &wanted.site.code)?;
                Ok(backing)
            }
            (objection, _) => Err(TracerError::TextNotPrivate {
                address,
                mapping: objection.unwrap_or_else(|| "not mapped from a file".to_owned()),
            }),
        }
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
        (slot, index): (Slot, u16),
        wanted: &SiteProgram,
        backing: Backing,
        new: &[u64],
    ) -> Result<(), TracerError> {
        let plan = &wanted.site;
        let user = User {
            slot,
            index,
            program: Arc::new(wanted.program.clone()),
            layout: wanted.layout,
        };
        // What was at the address before and is not any more has no users that could be hit.
        let known_and_same = self.sites.get(plan.address).is_some_and(|site| {
            let is_planted = site.presence == Presence::Planted;
            site.backing == backing && (is_planted || site.plan.code == plan.code)
        });
        if !known_and_same {
            let malformed = || TracerError::Protocol("malformed site".to_owned());
            let site = Site::new(plan.clone(), backing).ok_or_else(malformed)?;
            self.sites.insert(plan.address, site);
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

    fn plant(&mut self, address: u64, map: Option<&Mappings>) -> Result<(), TracerError> {
        let Some(site) = self.sites.get_mut(address) else {
            return Ok(());
        };
        // Where we stand aside, what is wanted by now is planted when we come back.
        if site.presence == Presence::Planted || !self.aside_for.is_empty() {
            return Ok(());
        }
        let objection = match map.and_then(|map| map.at(address)) {
            Some(mapping) => mapping.objection(),
            None => Some("not mapped".to_owned()),
        };
        if objection.is_some() || !site.may_be_at(address, map) {
            let mapping = objection.unwrap_or_else(|| "mapped from another file".to_owned());
            return Err(TracerError::TextNotPrivate { address, mapping });
        }
        let what = "cannot write a breakpoint";
        self.text
            .plant(address, site.original)
            .map_err(|source| TracerError::System { what, source })?;
        site.presence = Presence::Planted;
        Ok(())
    }

    fn unplant_if_unused(&mut self, address: u64, map: Option<&Mappings>) {
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
            self.unplant(address, map);
        }
    }

    fn unplant(&mut self, address: u64, map: Option<&Mappings>) {
        let Some(site) = self.sites.get_mut(address) else {
            return;
        };
        if site.presence == Presence::Ghost {
            return;
        }
        site.presence = Presence::Ghost;
        // What is mapped there now may have an int3 of its own, as linkers put between functions.
        // Where the map has nothing and the memory has, the map is another program's: an exec
        // came between.
        let is_elsewhere = map.is_some_and(|map| map.at(address).is_some());
        if is_elsewhere && !site.may_be_at(address, map) {
            return self.text.give_up(address);
        }
        match self.text.restore(address, site.original) {
            Restored::Yes => self.released.restored += 1,
            Restored::Foreign => self.released.foreign += 1,
            Restored::Unmapped => {}
        }
    }

    /// What the target has mapped now; `None` where nobody can say.
    fn text_map(&self) -> Option<Mappings> {
        let tid = match self.ended {
            // Our memory is the old program's, which a vfork child may still run.
            Some(Ended::Execed) => {
                let mut threads = self.threads.keys().copied();
                threads.find(|&tid| is_outside(self.pid, tid))?
            }
            _ => a_thread(self.pid, &self.threads),
        };
        Mappings::read(tid)
    }

    /// Begins or ends the time for which a slot's hits are known.
    fn observe(&self, slot: Slot, planted: bool) {
        let now = monotonic_ns();
        self.observe_until(slot, now);
        if planted && self.aside_for.is_empty() {
            let since = self.desk.shared.counter(slot, Counter::PlantedSince);
            since.store(now, Ordering::Relaxed);
        }
    }

    /// Ends it, at a time that may lie behind us.
    fn observe_until(&self, slot: Slot, until: u64) {
        let shared = &self.desk.shared;
        let since = shared.counter(slot, Counter::PlantedSince);
        let began = since.load(Ordering::Relaxed);
        if began != 0 {
            shared.add(slot, Counter::ObservedNs, until.saturating_sub(began));
        }
        since.store(0, Ordering::Relaxed);
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
