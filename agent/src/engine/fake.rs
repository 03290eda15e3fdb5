//! A tracer and a binder in memory that do as a test tells them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use lr_dwarf::{HitContext, Layout, Module, Rendered, Value};
use lr_protocol::{ActionKind, ActionSpec, Level, LogSpec, Output, StatusError, WantedAction};
use lr_tracer::{
    AmendAction, ArmAction, Armed, Ended, Group, GroupKey, Groups, Record, Released, SitePlan,
    SiteProgram, Slot, SlotCounters, TracerError,
};

use super::trace::{Bind, BindRequest, Bound, BoundSite, Render, Trace};
use crate::locate::Unlocated;

/// Wanted for an hour at a location of its own name, version 1.
pub(crate) fn wanted(action_id: &str) -> WantedAction {
    WantedAction {
        action_id: action_id.to_owned(),
        version: 1,
        spec: ActionSpec {
            kind: ActionKind::Log(LogSpec {
                location: action_id.to_owned(),
                template: "hit".to_owned(),
                level: Level::Info,
            }),
            condition: None,
            name: None,
            tags: BTreeMap::new(),
            max_hits: None,
            expires_in_s: None,
            rate: None,
            ignore_quota: false,
            output: Output::Server,
        },
        enabled: true,
        expires_in_ms: 3_600_000,
        hits_left: None,
    }
}

/// A tracer; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeTracer {
    state: Rc<RefCell<State>>,
    current: Option<FakeRecord>,
}

#[derive(Debug, Default)]
struct State {
    armed: BTreeMap<Slot, ArmAction>,
    /// What was done, in words.
    calls: Vec<String>,
    counters: BTreeMap<Slot, SlotCounters>,
    groups: BTreeMap<Slot, Vec<Group>>,
    ring: VecDeque<FakeRecord>,
    arm_errors: VecDeque<TracerError>,
    hits_while_arming: u64,
    lost: Vec<u64>,
    is_dead: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FakeRecord {
    Hit(Slot),
    HitAt(Slot, u16),
    Done(Slot),
    Paused(Slot),
    Resumed(Slot),
    Ended(Ended),
}

impl FakeTracer {
    /// The slot in which the action of this address is armed.
    pub(crate) fn slot_at(&self, address: u64) -> Slot {
        let state = self.state.borrow();
        let holds = |action: &ArmAction| {
            let mut sites = action.sites.iter();
            sites.any(|site| site.site.address() == address)
        };
        let armed = state.armed.iter().find(|(_, action)| holds(action));
        *armed.expect("it is armed").0
    }

    pub(crate) fn armed(&self) -> Vec<ArmAction> {
        self.state.borrow().armed.values().cloned().collect()
    }

    /// Hits that pass every check.
    pub(crate) fn hit(&self, slot: Slot, times: u64) {
        let mut state = self.state.borrow_mut();
        let counters = state.counters.entry(slot).or_default();
        counters.hits += times;
        counters.kept += times;
        for _ in 0..times {
            state.ring.push_back(FakeRecord::Hit(slot));
        }
    }

    /// A hit of the site with this number.
    pub(crate) fn hit_at(&self, slot: Slot, site: u16) {
        let mut state = self.state.borrow_mut();
        state.ring.push_back(FakeRecord::HitAt(slot, site));
    }

    pub(crate) fn count(&self, slot: Slot, change: impl FnOnce(&mut SlotCounters)) {
        change(self.state.borrow_mut().counters.entry(slot).or_default());
    }

    /// Hits that were counted, in a group of this key.
    pub(crate) fn count_group(&self, slot: Slot, key: &[u8], times: u64) {
        self.count(slot, |counters| {
            counters.hits += times;
            counters.kept += times;
        });
        let mut state = self.state.borrow_mut();
        state.groups.entry(slot).or_default().push(Group {
            key: Some(GroupKey {
                layout: 0,
                field: key.to_vec(),
            }),
            count: times,
            without_value: 0,
            not_finite: 0,
            numbers: None,
        });
    }

    pub(crate) fn tell(&self, record: FakeRecord) {
        self.state.borrow_mut().ring.push_back(record);
    }

    pub(crate) fn refuse(&self, error: TracerError) {
        self.state.borrow_mut().arm_errors.push_back(error);
    }

    /// From now on a site is hit so often before arming it returns.
    pub(crate) fn hit_while_arming(&self, times: u64) {
        self.state.borrow_mut().hits_while_arming = times;
    }

    /// What is planted there is not there any more.
    pub(crate) fn lose(&self, addresses: &[u64]) {
        self.state.borrow_mut().lost.extend(addresses);
    }

    pub(crate) fn die(&self) {
        self.state.borrow_mut().is_dead = true;
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.state.borrow().calls.clone()
    }
}

impl Trace for FakeTracer {
    fn arm(&mut self, action: &ArmAction) -> Result<Armed, TracerError> {
        let mut state = self.state.borrow_mut();
        if state.is_dead {
            return Err(TracerError::Died);
        }
        let mut armed = Armed {
            planted: action
                .sites
                .iter()
                .map(|site| site.site.address())
                .collect(),
            refused: Vec::new(),
        };
        if let Some(error) = state.arm_errors.pop_front() {
            let refused = super::errors::address_of(&error);
            match refused.filter(|address| armed.planted.contains(address)) {
                Some(address) if armed.planted.len() > 1 => {
                    armed.planted.retain(|planted| *planted != address);
                    armed.refused.push((address, error));
                }
                _ => return Err(error),
            }
        }
        let call = format!("arm {}", in_words(&armed.planted));
        state.calls.push(call);
        state.counters.insert(action.slot, SlotCounters::default());
        let old = state.armed.insert(action.slot, action.clone());
        assert!(old.is_none(), "slot {:?} is in use", action.slot);
        for _ in 0..state.hits_while_arming {
            state.ring.push_back(FakeRecord::Hit(action.slot));
        }
        Ok(armed)
    }

    fn amend(&mut self, change: &AmendAction) -> Result<Armed, TracerError> {
        let mut state = self.state.borrow_mut();
        let added: Vec<u64> = change
            .add
            .iter()
            .map(|(_, site)| site.site.address())
            .collect();
        let call = format!("amend -{} +{}", in_words(&change.remove), in_words(&added));
        state.calls.push(call);
        if let Some(error) = state.arm_errors.pop_front() {
            let address = super::errors::address_of(&error).expect("it is about a place");
            return Ok(Armed {
                planted: added.into_iter().filter(|&a| a != address).collect(),
                refused: vec![(address, error)],
            });
        }
        let action = state.armed.get_mut(&change.slot).expect("it is armed");
        let is_kept = |site: &SiteProgram| !change.remove.contains(&site.site.address());
        action.sites.retain(is_kept);
        let sites = change.add.iter().map(|(_, site)| site.clone());
        action.sites.extend(sites);
        Ok(Armed {
            planted: added,
            refused: Vec::new(),
        })
    }

    fn verify(&mut self) -> Result<Vec<u64>, TracerError> {
        let mut state = self.state.borrow_mut();
        match state.is_dead {
            true => Err(TracerError::Died),
            false => Ok(std::mem::take(&mut state.lost)),
        }
    }

    fn disarm(&mut self, slot: Slot) -> Result<Groups, TracerError> {
        let mut state = self.state.borrow_mut();
        if state.is_dead {
            return Err(TracerError::Died);
        }
        let action = state.armed.remove(&slot).expect("it is armed");
        let addresses: Vec<u64> = action
            .sites
            .iter()
            .map(|site| site.site.address())
            .collect();
        let call = format!("disarm {}", in_words(&addresses));
        state.calls.push(call);
        Ok(Groups {
            counters: state.counters.get(&slot).copied().unwrap_or_default(),
            groups: state.groups.remove(&slot).unwrap_or_default(),
        })
    }

    fn let_on(&mut self, _: u32, _: Slot, _: u64) -> Result<Option<u64>, TracerError> {
        Ok(None)
    }

    fn release(&mut self) -> Result<Released, TracerError> {
        let mut state = self.state.borrow_mut();
        state.calls.push("release".to_owned());
        Ok(Released {
            restored: 3,
            foreign: 0,
        })
    }

    fn counters(&self, slot: Slot) -> SlotCounters {
        let state = self.state.borrow();
        state.counters.get(&slot).copied().unwrap_or_default()
    }

    fn take_longest_stop(&self, _: Slot) -> u64 {
        0
    }

    fn take_groups(&mut self, slot: Slot) -> Result<Groups, TracerError> {
        let mut state = self.state.borrow_mut();
        if state.is_dead {
            return Err(TracerError::Died);
        }
        Ok(Groups {
            counters: state.counters.get(&slot).copied().unwrap_or_default(),
            groups: state.groups.remove(&slot).unwrap_or_default(),
        })
    }

    fn next_record(&mut self) -> Option<Record<'_>> {
        self.current = self.state.borrow_mut().ring.pop_front();
        let hit = |slot, site| Record::Hit {
            slot,
            site,
            tid: 1,
            time_ns: 1_000_000,
            hits: 1,
            payload: b"payload",
        };
        Some(match self.current? {
            FakeRecord::Hit(slot) => hit(slot, 0),
            FakeRecord::HitAt(slot, site) => hit(slot, site),
            FakeRecord::Done(slot) => Record::Done { slot },
            FakeRecord::Paused(slot) => Record::Paused { slot },
            FakeRecord::Resumed(slot) => Record::Resumed { slot },
            FakeRecord::Ended(ended) => Record::Ended(ended),
        })
    }

    fn wait(&self, _: Duration) {}

    fn take_rescued(&mut self) -> Option<lr_tracer::Rescued> {
        None
    }

    fn is_alive(&mut self) -> bool {
        !self.state.borrow().is_dead
    }
}

/// Binds each action at the addresses that a test gave to its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeBinder {
    known: Rc<RefCell<BTreeMap<String, Vec<u64>>>>,
    /// What was loaded or unloaded, and not asked about.
    changed: Rc<RefCell<bool>>,
}

impl FakeBinder {
    pub(crate) fn know(&self, location: &str, addresses: &[u64]) {
        let mut known = self.known.borrow_mut();
        known.insert(location.to_owned(), addresses.to_vec());
    }

    /// From now on the location has these addresses, because of what was loaded.
    pub(crate) fn load(&self, location: &str, addresses: &[u64]) {
        self.know(location, addresses);
        *self.changed.borrow_mut() = true;
    }

    pub(crate) fn forget(&self, location: &str) {
        self.known.borrow_mut().remove(location);
        *self.changed.borrow_mut() = true;
    }
}

impl Bind for FakeBinder {
    fn bind(&mut self, request: &BindRequest<'_>) -> Result<Bound, Unlocated> {
        let location = request.spec.kind.location();
        let known = self.known.borrow();
        let error = |code: &str| StatusError {
            code: code.to_owned(),
            refers_to: "location".to_owned(),
            message: "there is none".to_owned(),
            suggestions: Vec::new(),
        };
        match (known.get(location), location.split_once('!')) {
            (Some(addresses), _) => {
                let is_held = |address: &u64| request.held.contains(address);
                let (held, new): (Vec<u64>, Vec<u64>) = addresses.iter().partition(|a| is_held(a));
                Ok(Bound {
                    sites: new.into_iter().map(site).collect(),
                    held,
                    warnings: Vec::new(),
                })
            }
            (None, Some((module, _))) if known.contains_key(module) => {
                Err(error("no_such_line").into())
            }
            (None, Some((module, _))) => Err(Unlocated::NotLoaded {
                module: module.to_owned(),
                error: error("no_such_module"),
            }),
            (None, None) => Err(error("no_such_function").into()),
        }
    }

    fn has_changed(&mut self) -> bool {
        std::mem::take(&mut *self.changed.borrow_mut())
    }

    fn generation(&mut self) -> u64 {
        0
    }

    fn open_all(&mut self) -> (Vec<Module>, Vec<String>) {
        (Vec::new(), Vec::new())
    }

    fn is_by_name(&self, spec: &ActionSpec) -> bool {
        !spec.kind.location().starts_with("0x")
    }
}

fn in_words(addresses: &[u64]) -> String {
    let words: Vec<String> = addresses.iter().map(|at| format!("{at:#x}")).collect();
    words.join(" ")
}

fn site(address: u64) -> BoundSite {
    const NOP: [u8; 15] = [0x90; 15];
    BoundSite {
        program: SiteProgram {
            site: SitePlan::choose(address, &NOP, &[], &[]).expect("a nop can be emulated"),
            program: lr_probe::Program::empty(),
            layout: 0,
        },
        layout: Rc::new(layout()),
        module: "/srv/orders".to_owned(),
        function: "process".into(),
        file: "orders.c".into(),
        line: 9,
    }
}

/// One that reads every record as words.
pub(crate) fn layout() -> impl Render {
    Words
}

#[derive(Debug)]
struct Words;

impl Render for Words {
    fn render(&self, record: &[u8], hit: &HitContext<'_>) -> Rendered {
        Rendered {
            message: format!("{} in {}", String::from_utf8_lossy(record), hit.tid),
            fields: Vec::new(),
        }
    }

    fn render_with(&self, record: &[u8], hit: &HitContext<'_>, _: &[Value]) -> Rendered {
        self.render(record, hit)
    }

    fn has_trees(&self) -> bool {
        false
    }

    fn layout(&self) -> Layout {
        Layout::default()
    }

    fn group(&self, field: &[u8]) -> String {
        String::from_utf8_lossy(field).into_owned()
    }

    fn is_like(&self, _: &dyn Render) -> bool {
        true
    }
}
