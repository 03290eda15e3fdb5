//! Planting what is wanted, now and when the target loads and unloads what it is in.

use std::time::{Duration, Instant};

use lr_protocol::{ActionKind, ActionSpec, End, State, StatusError};
use lr_tracer::{Aggregate, AmendAction, ArmAction, Armed, Mode, Rate, TracerError};

use super::errors;
use super::held::HOLD;
use super::layouts::Layouts;
use super::planted::Planted;
use super::trace::{BindRequest, Bound, BoundSite};
use super::{Engine, RING_RECORDS, ROUND};
use crate::locate::{Unlocated, file_name};

/// Logs per second where nothing else is said; a burst may be twice that.
const DEFAULT_RATE: f64 = 50.0;
/// Values of `by` that are told apart; the rest is counted together.
const MOST_GROUPS: u16 = 100;
/// A library that is being loaded is in the mappings before all of it is there.
const LOADING: Duration = Duration::from_secs(1);
/// How many modules a sentence lists.
const MOST_NAMES: usize = 5;

/// Whether what could not be planted is tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tries {
    More,
    Last,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    Well,
    /// Something could not be planted.
    InPart,
}

impl Tried {
    fn of(refused: &[u64]) -> Tried {
        match refused {
            [] => Tried::Well,
            _ => Tried::InPart,
        }
    }
}

/// How the sites of a planted action are to change.
struct SiteChange {
    /// The numbers of those that it gives up.
    gone: Vec<u16>,
    new: Vec<(u16, BoundSite)>,
    /// It would be planted nowhere.
    leaves_nothing: bool,
    warnings: Vec<String>,
    /// What it waits for then.
    waits: String,
    tried: Tried,
}

/// An action is not bound.
enum Unbound {
    /// Not yet: what it is in is not loaded.
    NotLoaded(String),
    Failed(StatusError),
}

impl From<StatusError> for Unbound {
    fn from(error: StatusError) -> Unbound {
        Unbound::Failed(error)
    }
}

impl Engine {
    /// Binds and plants an action, or says why not, or what it waits for.
    pub(super) fn plant(&mut self, id: &str, now: Instant) -> Result<(), End> {
        let Some(action) = self.actions.get_mut(id) else {
            return Ok(());
        };
        if action.state.is_final() || action.planted.is_some() {
            return Ok(());
        }
        if now >= action.deadline {
            return self.stop(id, State::Expired);
        }
        if action.limit() == Some(0) {
            return self.stop(id, State::Done);
        }
        let planted = match self.open_output(id) {
            Ok(()) => self.bind_and_arm(id),
            Err(error) => Err(error.into()),
        };
        match planted {
            Ok((planted, warnings)) => self.is_bound(id, planted, warnings),
            Err(Unbound::NotLoaded(what)) => self.is_pending(id, what),
            Err(Unbound::Failed(error)) => self.has_failed(id, error),
        }
        self.tell(id);
        // What was hit meanwhile should not wait. Not before the action is known as planted: its own
        // first hits, and even its end, are in the ring by now.
        self.drain(ROUND)
    }

    /// Looks whether every site is still what it was, and whether there are new places for what
    /// is wanted.
    pub(super) fn follow_modules(&mut self, now: Instant) -> Result<(), End> {
        if self.actions.values().all(|action| action.state.is_final()) {
            return Ok(());
        }
        let lost = match &mut self.tracer {
            Some(tracer) => match tracer.verify() {
                Ok(lost) => lost,
                Err(error) => return Err(self.lost_tracer(&error)),
            },
            None => Vec::new(),
        };
        let has_changed = self.binder.has_changed();
        if has_changed {
            self.prepare_again();
        }
        let seen = Instant::now();
        let ids: Vec<String> = self.actions.keys().cloned().collect();
        for id in ids {
            let action = &self.actions[&id];
            let is_lost = |planted: &Planted| planted.addresses().iter().any(|a| lost.contains(a));
            let is_new = has_changed || action.planted.as_ref().is_some_and(is_lost);
            let is_held = action.planted.is_some() || action.state == State::Pending;
            if !is_held || !action.wanted.enabled || action.state.is_final() {
                continue;
            }
            if is_new {
                self.retry(&id, Some(now + LOADING));
            }
            let Some(until) = self.actions[&id].retry_until else {
                continue;
            };
            let tries = match now < until {
                true => Tries::More,
                false => Tries::Last,
            };
            let tried = self.rebind(&id, &lost, seen, tries)?;
            if tried == Tried::Well || tries == Tries::Last {
                self.retry(&id, None);
            }
        }
        Ok(())
    }

    fn retry(&mut self, id: &str, until: Option<Instant>) {
        if let Some(action) = self.actions.get_mut(id) {
            action.retry_until = until;
        }
    }

    fn rebind(
        &mut self,
        id: &str,
        lost: &[u64],
        seen: Instant,
        tries: Tries,
    ) -> Result<Tried, End> {
        let Some(action) = self.actions.get(id) else {
            return Ok(Tried::Well);
        };
        let is_by_name = self.binder.is_by_name(&action.wanted.spec);
        let tried = match &action.planted {
            Some(_) if is_by_name => self.amend(id, lost, seen, tries)?,
            // The address may mean something else by now.
            Some(planted) if planted.addresses().iter().all(|a| lost.contains(a)) => {
                self.unplant(id)?;
                self.has_failed(id, errors::unloaded());
                Tried::Well
            }
            Some(_) => Tried::Well,
            None => self.plant_late(id, seen, tries),
        };
        self.tell(id);
        self.drain(ROUND)?;
        Ok(tried)
    }

    /// Plants what was pending, if what it waits for is there.
    fn plant_late(&mut self, id: &str, seen: Instant, tries: Tries) -> Tried {
        let error = match self.bind_and_arm(id) {
            Ok((planted, mut warnings)) => {
                warnings.push(late(planted.sites(), seen));
                let tried = Tried::of(planted.refused());
                self.is_bound(id, planted, warnings);
                return tried;
            }
            Err(Unbound::NotLoaded(what)) => {
                self.is_pending(id, what);
                return Tried::Well;
            }
            Err(Unbound::Failed(error)) => error,
        };
        if self.actions.get(id).is_some_and(|action| action.was_bound) {
            self.is_pending(id, format!("waits: {}", error.message));
        } else if tries == Tries::Last {
            self.has_failed(id, error);
        }
        Tried::InPart
    }

    fn is_bound(&mut self, id: &str, planted: Planted, warnings: Vec<String>) {
        if let Some(action) = self.actions.get_mut(id) {
            action.planted = Some(planted);
            action.warnings = warnings;
            action.state = State::Bound;
            action.was_bound = true;
        }
    }

    fn is_pending(&mut self, id: &str, what: String) {
        if let Some(action) = self.actions.get_mut(id) {
            action.warnings = vec![what];
            action.state = State::Pending;
        }
    }

    pub(super) fn has_failed(&mut self, id: &str, error: StatusError) {
        if let Some(action) = self.actions.get_mut(id) {
            action.forget_what_it_waits_for();
            action.error = Some(error);
            action.state = State::Error;
        }
    }

    fn open_output(&mut self, id: &str) -> Result<(), StatusError> {
        if let Some(action) = self.actions.get_mut(id) {
            action.way = self.writer.open(&action.wanted.spec.output)?;
        }
        Ok(())
    }

    fn bind_and_arm(&mut self, id: &str) -> Result<(Planted, Vec<String>), Unbound> {
        let bound = self.bind(id, &[])?;
        // Planting may take its time: what a thread is to be read for is read ahead of it.
        if let Some(action) = self.actions.get_mut(id)
            && action.state != State::Pending
        {
            action.state = State::Verified;
            self.tell(id);
        }
        Ok(self.arm(id, bound)?)
    }

    fn bind(&mut self, id: &str, held: &[u64]) -> Result<Bound, Unbound> {
        let planted = self.actions.values().flat_map(|action| &action.planted);
        let avoid: Vec<u64> = planted.flat_map(Planted::addresses).collect();
        let request = BindRequest {
            spec: &self.actions[id].wanted.spec,
            avoid: &avoid,
            held,
        };
        self.binder.bind(&request).map_err(|error| match error {
            Unlocated::NotLoaded { module, .. } => Unbound::NotLoaded(format!(
                "waits until process {} loads a module `{module}`",
                self.target.pid
            )),
            Unlocated::Failed(error) => Unbound::Failed(error),
        })
    }

    /// Plants at every place that the tracer accepts, and warns of the others.
    fn arm(&mut self, id: &str, mut bound: Bound) -> Result<(Planted, Vec<String>), StatusError> {
        let pid = self.target.pid;
        let action = &self.actions[id];
        let spec = &action.wanted.spec;
        let mode = mode_of(spec, &bound.sites);
        let (limit, rate) = (action.limit(), rate_of(spec, mode)?);
        let ignore_quota = spec.ignore_quota;
        let deadline = action.deadline;
        if let Mode::Hold(_) = mode {
            let addresses = bound.sites.iter().map(BoundSite::address).collect();
            // What is not read ahead is read while threads stand still.
            self.be_ready_to_read();
            let warnings = self.prepare_reading(addresses);
            bound.warnings.extend(warnings);
        }
        if self.tracer.is_none() {
            let tracer = (self.start_tracer)().map_err(|error| errors::of_tracer(&error, pid))?;
            self.tracer = Some(tracer);
        }
        let tracer = self.tracer.as_mut().expect("it was started just now");
        let slot = self.slots.allot(id).ok_or_else(errors::too_many_actions)?;
        let mut layouts = Layouts::default();
        if let Mode::Aggregate(_) = mode {
            number_layouts(&mut layouts, bound.sites.iter_mut());
        }
        let request = ArmAction {
            slot,
            limit,
            rate,
            expires_in: Some(deadline.saturating_duration_since(Instant::now())),
            ignore_quota,
            mode,
            sites: bound
                .sites
                .iter()
                .map(|site| site.program.clone())
                .collect(),
        };
        match tracer.arm(&request) {
            Ok(armed) => {
                let is_planted = |site: &BoundSite| armed.planted.contains(&site.address());
                let sites = bound.sites.into_iter();
                let sites = sites.map(|site| Some(site).filter(is_planted)).collect();
                let mut planted = Planted::new(slot, sites, layouts);
                planted.refuse(&armed);
                Ok((planted, with_refused(bound.warnings, &armed)))
            }
            Err(error) => {
                self.slots.free(slot);
                Err(errors::of_tracer(&error, pid))
            }
        }
    }

    /// Gives up what is gone, plants where there is something new, and leaves the rest alone.
    fn amend(&mut self, id: &str, lost: &[u64], seen: Instant, tries: Tries) -> Result<Tried, End> {
        let Some(change) = self.plan_change(id, lost, tries) else {
            return Ok(Tried::Well);
        };
        let tried = change.tried;
        if change.gone.is_empty() && change.new.is_empty() {
            return Ok(tried);
        }
        if change.leaves_nothing {
            self.unplant(id)?;
            self.is_pending(id, change.waits);
            return Ok(tried);
        }
        let gone = change.gone.clone();
        let armed = match self.carry_out(id, change, seen) {
            Ok(armed) => armed,
            Err(error @ (TracerError::Died | TracerError::ProcessGone { .. })) => {
                return Err(self.lost_tracer(&error));
            }
            Err(error) => {
                self.unplant(id)?;
                self.has_failed(id, errors::of_tracer(&error, self.target.pid));
                return Ok(tried);
            }
        };
        // Hits of the sites that are gone are in the ring still, or being read; none follow.
        self.drain(RING_RECORDS)?;
        self.await_readings(id);
        let action = self.actions.get_mut(id);
        if let Some(planted) = action.and_then(|action| action.planted.as_mut()) {
            planted.remove(&gone);
            if planted.is_empty() {
                self.unplant(id)?;
                self.is_pending(id, "waits: none of its places can be planted".to_owned());
            }
        }
        Ok(match armed.refused.as_slice() {
            [] => tried,
            _ => Tried::InPart,
        })
    }

    /// What has to change for a planted action to be where its location is now.
    fn plan_change(&mut self, id: &str, lost: &[u64], tries: Tries) -> Option<SiteChange> {
        let planted = self.actions.get_mut(id)?.planted.as_mut()?;
        let mut held = planted.addresses();
        held.retain(|address| !lost.contains(address));
        let refused = match tries {
            Tries::More => planted.take_refused(),
            Tries::Last => planted.refused().to_vec(),
        };
        let mut known = held.clone();
        if tries == Tries::Last {
            known.extend(&refused);
        }
        let (mut tried, mut waits) = (Tried::Well, String::new());
        let mut bound = match self.bind(id, &known) {
            Ok(bound) => bound,
            Err(Unbound::NotLoaded(what)) => {
                waits = what;
                Bound::default()
            }
            Err(Unbound::Failed(error)) => {
                tried = Tried::InPart;
                let why = error.message;
                waits = format!("waits: what it was bound in is not loaded any more ({why})");
                Bound {
                    held,
                    ..Bound::default()
                }
            }
        };
        bound.held.retain(|address| !refused.contains(address));
        let planted = self.actions.get(id)?.planted.as_ref()?;
        let gone = planted.numbers_of(|site| !bound.held.contains(&site.address()));
        let numbers = planted.free_numbers(bound.sites.len());
        Some(SiteChange {
            leaves_nothing: bound.held.is_empty() && bound.sites.is_empty(),
            gone,
            new: numbers.into_iter().zip(bound.sites).collect(),
            warnings: bound.warnings,
            waits,
            tried,
        })
    }

    /// Changes what is planted. The sites that are gone are still known afterwards.
    fn carry_out(
        &mut self,
        id: &str,
        mut change: SiteChange,
        seen: Instant,
    ) -> Result<Armed, TracerError> {
        let action = self.actions.get_mut(id);
        let action = action.filter(|action| action.planted.is_some());
        let (Some(action), Some(tracer)) = (action, &mut self.tracer) else {
            return Ok(Armed::default());
        };
        let action_counts = action.is_counting();
        let planted = action.planted.as_mut().expect("looked at just now");
        let new = change.new.iter_mut().map(|(_, site)| site);
        if action_counts {
            number_layouts(&mut planted.layouts, new);
        }
        let gone = change
            .gone
            .iter()
            .filter_map(|&number| planted.site(number));
        let program = |(number, site): &(u16, BoundSite)| (*number, site.program.clone());
        let armed = tracer.amend(&AmendAction {
            slot: planted.slot,
            remove: gone.map(BoundSite::address).collect(),
            add: change.new.iter().map(program).collect(),
        })?;
        planted.refuse(&armed);
        let mut new = change.new;
        new.retain(|(_, site)| armed.planted.contains(&site.address()));
        let mut warnings = with_refused(change.warnings, &armed);
        if !new.is_empty() {
            warnings.push(late(new.iter().map(|(_, site)| site), seen));
        }
        for (number, site) in new {
            planted.add(number, site);
        }
        if !warnings.is_empty() {
            action.warnings = warnings;
        }
        Ok(armed)
    }
}

/// What a user should know of a binding that came late.
fn late<'a>(sites: impl Iterator<Item = &'a BoundSite>, seen: Instant) -> String {
    let mut names: Vec<&str> = Vec::new();
    for site in sites {
        let name = file_name(&site.module);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.truncate(MOST_NAMES);
    format!(
        "bound {:.1} s after {} was seen to be loaded; what ran before was not observed",
        seen.elapsed().as_secs_f64(),
        names.join(", ")
    )
}

fn with_refused(mut warnings: Vec<String>, armed: &Armed) -> Vec<String> {
    for (_, error) in &armed.refused {
        warnings.push(format!("left out: {error}"));
    }
    warnings
}

/// What becomes of an action's hits in the tracer.
fn mode_of(spec: &ActionSpec, sites: &[BoundSite]) -> Mode {
    let aggregate = |by: &Option<String>, number| {
        Mode::Aggregate(Aggregate {
            groups: MOST_GROUPS,
            grouped: by.is_some(),
            number,
        })
    };
    match &spec.kind {
        ActionKind::Counter(counter) => aggregate(&counter.by, false),
        ActionKind::Metric(metric) => aggregate(&metric.by, true),
        ActionKind::Snapshot(_) => Mode::Hold(HOLD),
        ActionKind::Log(_) if sites.iter().any(|site| site.layout.has_trees()) => Mode::Hold(HOLD),
        ActionKind::Log(_) | ActionKind::Unknown => Mode::Record,
    }
}

/// The tracer tells groups apart by the form of what it is given.
fn number_layouts<'a>(layouts: &mut Layouts, sites: impl Iterator<Item = &'a mut BoundSite>) {
    for site in sites {
        site.program.layout = layouts.number(&site.layout);
    }
}

/// Logs of a second, and twice that at once. What is counted costs no event and has no rate.
fn rate_of(spec: &ActionSpec, mode: Mode) -> Result<Option<Rate>, StatusError> {
    if matches!(mode, Mode::Aggregate(_)) {
        return Ok(None);
    }
    let per_second = spec.rate.unwrap_or(DEFAULT_RATE);
    if per_second.is_nan() || per_second <= 0.0 {
        return Err(errors::bad_rate(per_second));
    }
    Ok(Some(Rate {
        per_second,
        burst: (per_second * 2.0).max(1.0),
    }))
}
