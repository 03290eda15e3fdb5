use std::time::{Duration, Instant};

use lr_protocol::{
    ActionKind, ActionStatus, BoundAddress, Counts, Coverage, Name, Overhead, State, StatusError,
    WantedAction,
};
use lr_tracer::{MAY_MISS_HITS, ResumeKind, SlotCounters};

use super::errors;
use super::fates::{Decided, Fates};
use super::output::Way;
use super::planted::Planted;
use super::trace::BoundSite;
use crate::clock::now_micros;

/// One wanted action, and what has become of it here.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) wanted: WantedAction,
    /// Its id, for its events to share.
    pub(crate) id: Name,
    pub(crate) state: State,
    pub(crate) deadline: Instant,
    pub(crate) planted: Option<Planted>,
    /// Where its events go.
    pub(crate) way: Way,
    pub(crate) warnings: Vec<String>,
    pub(crate) error: Option<StatusError>,
    /// What went wrong with a hit last, or how its process ended.
    pub(crate) last_error: Option<String>,
    /// Microseconds since the Unix epoch, of its last pause.
    pub(crate) paused_until: Option<i64>,
    /// What was bound may be unloaded and loaded again.
    pub(crate) was_bound: bool,
    /// Up to when what could not be planted is tried again: it may not be loaded completely.
    pub(crate) retry_until: Option<Instant>,
    /// What earlier plantings of this version counted.
    earlier: Counts,
    /// What the slot counted when it was last looked at, and when that was.
    counted: SlotCounters,
    looked_at: Instant,
    /// What became of the hits that the tracer kept.
    pub(crate) fates: Fates,
    /// Those of them whose thread went on before it was read.
    late: u64,
    /// How often in a row it was planted for those in vain.
    tries: u32,
    /// What had been kept when it was planted last.
    kept_before: u64,
    /// How often its line was passed in a second when it was planted, where that was counted.
    passes_per_second: Option<u64>,
    told: Option<Told>,
}

/// What a status says that may be news.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    state: State,
    counts: Counts,
    addresses: Vec<u64>,
    warnings: Vec<String>,
    passes_per_second: Option<u64>,
}

/// What happened since the last look.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Second {
    pub(crate) row: Coverage,
    /// What the stops cost; nothing where it was not planted.
    pub(crate) overhead: Overhead,
    /// Reason and count.
    pub(crate) losses: Vec<(&'static str, u64)>,
}

impl Second {
    /// A hit may be decided in a later second than that in which it was.
    pub(crate) fn decide(&mut self, decided: Decided) {
        self.row.kept += decided.kept;
        self.row.dropped += decided.dropped();
        self.losses.extend(decided.lost);
    }
}

impl Action {
    pub(crate) fn new(wanted: WantedAction, received: Instant) -> Action {
        let expires_in = Duration::from_millis(wanted.expires_in_ms);
        // Beyond any ceiling is as good as the ceiling, and cannot overflow.
        let ceiling = Duration::from_secs(366 * 24 * 3600);
        Action {
            deadline: received + expires_in.min(ceiling),
            id: (&wanted.action_id).into(),
            wanted,
            state: State::Delivered,
            planted: None,
            way: Way::server(),
            warnings: Vec::new(),
            error: None,
            last_error: None,
            paused_until: None,
            was_bound: false,
            retry_until: None,
            earlier: Counts::default(),
            counted: SlotCounters::default(),
            looked_at: received,
            fates: Fates::default(),
            late: 0,
            tries: 0,
            kept_before: 0,
            passes_per_second: None,
            told: None,
        }
    }

    /// Events that are left of the limit. `hits_left` is what others have left of it; what was kept
    /// here is known here best.
    pub(crate) fn limit(&self) -> Option<u64> {
        let usual = matches!(self.wanted.spec.kind, ActionKind::Snapshot(_)).then_some(1);
        let of_all = self
            .wanted
            .hits_left
            .or(self.wanted.spec.max_hits)
            .or(usual)?;
        // What could not be told of is not made up for, but for threads that went on.
        let used = self.kept_by_tracer().saturating_sub(self.late);
        Some(of_all.saturating_sub(used))
    }

    /// A thread went on before it was read: there is nothing to tell.
    pub(crate) fn went_on(&mut self) {
        self.late += 1;
        self.fates.lose("went_on", 1);
    }

    /// Hits that the tracer kept, and nothing became of yet.
    pub(crate) fn undecided(&self) -> u64 {
        self.fates.undecided(self.kept_by_tracer())
    }

    fn kept_by_tracer(&self) -> u64 {
        self.earlier.kept + self.counted.kept
    }

    /// Whether what it was wanted for has still to be done, because threads went on too early. Not
    /// for ever: a place that cannot be read in time stays one.
    pub(crate) fn tries_again(&mut self) -> bool {
        let kept = self.counts().kept;
        self.tries = match kept > self.kept_before {
            true => 0,
            false => self.tries + 1,
        };
        self.kept_before = kept;
        self.late > 0 && self.tries < MOST_TRIES && self.limit() != Some(0)
    }

    /// Whether its hits hold their threads.
    pub(crate) fn is_holding(&self) -> bool {
        let sites = self.planted.iter().flat_map(Planted::sites);
        matches!(self.wanted.spec.kind, ActionKind::Snapshot(_))
            || sites.into_iter().any(|site| site.layout.has_trees())
    }

    /// Why the tracer has to drop hits.
    fn reason_to_drop(&self) -> &'static str {
        match self.is_holding() {
            true => "too_many_held",
            false => "ring_full",
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let of_tracer = self.counts_of_tracer();
        let lost = self.fates.lost().min(of_tracer.kept);
        Counts {
            dropped: of_tracer.dropped + lost,
            kept: of_tracer.kept - lost,
            ..of_tracer
        }
    }

    fn counts_of_tracer(&self) -> Counts {
        let (sum, now) = (&self.earlier, &self.counted);
        Counts {
            hits: sum.hits + now.hits,
            condition_false: sum.condition_false + now.condition_false,
            condition_error: sum.condition_error + now.condition_error,
            rate_limited: sum.rate_limited + now.rate_limited,
            over_budget: sum.over_budget + now.over_budget,
            dropped: sum.dropped + now.dropped,
            kept: sum.kept + now.kept,
        }
    }

    /// Takes the slot's counters as they are now. What became of what was kept is not in it: see
    /// [`Second::decide`].
    pub(crate) fn look(&mut self, counters: SlotCounters, max_stop_ns: u64) -> Second {
        let now = Instant::now();
        let passed = now.duration_since(std::mem::replace(&mut self.looked_at, now));
        let old = std::mem::replace(&mut self.counted, counters);
        if let Some(reason) = counters.condition_reason {
            let why = errors::in_words(reason);
            self.last_error = Some(format!("the condition has no value: {why}"));
        }
        if counters.passes_per_second > old.passes_per_second {
            self.learn_rate(counters.passes_per_second, max_stop_ns);
        }
        let since = |new: u64, old: u64| new.saturating_sub(old);
        let kept = since(counters.kept, old.kept);
        let rate_limited = since(counters.rate_limited, old.rate_limited);
        let over_budget = since(counters.over_budget, old.over_budget);
        let ring_full = since(counters.dropped, old.dropped);
        let row = Coverage {
            ts: now_micros(),
            action_id: self.wanted.action_id.clone(),
            action_version: self.wanted.version,
            observed_ms: since(
                counters.observed_ns / NS_PER_MS,
                old.observed_ns / NS_PER_MS,
            ),
            hits: since(counters.hits, old.hits),
            matched: kept + rate_limited + ring_full,
            kept: 0,
            rate_limited,
            over_budget,
            dropped: ring_full,
        };
        let losses = vec![
            (self.reason_to_drop(), ring_full),
            ("rate_limited", rate_limited),
            ("over_budget", over_budget),
            (
                "condition_error",
                since(counters.condition_error, old.condition_error),
            ),
        ];
        let stop_ns = since(counters.stop_ns, old.stop_ns);
        let overhead = Overhead {
            ts: row.ts,
            action_id: row.action_id.clone(),
            stops: row.hits,
            stop_ns,
            max_stop_ns,
            share: match passed.is_zero() {
                true => 0.0,
                false => Duration::from_nanos(stop_ns).as_secs_f64() / passed.as_secs_f64(),
            },
        };
        Second {
            row,
            overhead,
            losses,
        }
    }

    /// What was counted before the action was let loose on its line, and what a hit of it costs at
    /// most, of late.
    fn learn_rate(&mut self, per_second: u64, cost_ns: u64) {
        self.passes_per_second = Some(per_second);
        let cost = Duration::from_nanos(cost_ns.max(1));
        let affordable = lr_tracer::ACTION_SHARE / cost.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "it is told in three digits")]
        if affordable < per_second as f64 {
            let milliseconds = cost.as_secs_f64() * 1e3;
            self.warnings.push(format!(
                "the line is passed {per_second} times a second or more, and a hit stops its thread \
                 for {milliseconds:.2} ms: its share of the time is enough for about \
                 {affordable:.1} a second, and it is paused for the rest; --ignore-quota takes all"
            ));
        }
    }

    /// Whether its hits are counted in the tracer.
    pub(crate) fn is_counting(&self) -> bool {
        matches!(
            self.wanted.spec.kind,
            ActionKind::Counter(_) | ActionKind::Metric(_)
        )
    }

    /// Its warnings say nothing else while it is pending.
    pub(crate) fn forget_what_it_waits_for(&mut self) {
        if self.state == State::Pending {
            self.warnings.clear();
        }
    }

    /// What was decided of its hits after the last look, `waiting` hits aside. Nothing was observed.
    pub(crate) fn take_rest(&mut self, waiting: u64) -> Option<Second> {
        let decided = self.fates.take(waiting);
        if decided.is_nothing() {
            return None;
        }
        let mut second = self.look(self.counted, 0);
        second.decide(decided);
        Some(second)
    }

    /// A time in which it was nowhere.
    pub(crate) fn look_unplanted(&mut self) -> Second {
        self.look(SlotCounters::default(), 0)
    }

    /// It is not planted any more; its slot will be another's.
    pub(crate) fn unplanted(&mut self) {
        self.planted = None;
        self.earlier = self.counts_of_tracer();
        self.counted = SlotCounters::default();
    }

    /// Its status, if it differs from what was told last.
    pub(crate) fn news(&mut self) -> Option<ActionStatus> {
        let planted = self.planted.as_ref();
        let now = Told {
            state: self.state,
            counts: self.counts(),
            addresses: planted.map(Planted::addresses).unwrap_or_default(),
            warnings: self.all_warnings(),
            passes_per_second: self.passes_per_second,
        };
        if self.told.as_ref() == Some(&now) {
            return None;
        }
        self.told = Some(now);
        Some(self.status())
    }

    fn all_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        let mut sites = self.planted.iter().flat_map(Planted::sites);
        if sites.any(|site| site.resume() == ResumeKind::InPlace) {
            warnings.push(MAY_MISS_HITS.to_owned());
        }
        warnings
    }

    pub(crate) fn status(&self) -> ActionStatus {
        let sites = self.planted.iter().flat_map(Planted::sites);
        ActionStatus {
            // The session knows it.
            agent_id: String::new(),
            action_id: self.wanted.action_id.clone(),
            action_version: self.wanted.version,
            state: self.state,
            updated_at: now_micros(),
            counts: self.counts(),
            bound: sites.map(bound_address).collect(),
            warnings: self.all_warnings(),
            error: self.error.clone(),
            last_error: self.last_error.clone(),
            paused_until: match self.state {
                State::Paused => self.paused_until,
                _ => None,
            },
            passes_per_second: self.passes_per_second,
        }
    }
}

/// Plantings in a row that may bring nothing. A machine with much to do gives the agent no turn
/// within [`HOLD`](super::held::HOLD) for a while; each costs no more than that, and its budget.
const MOST_TRIES: u32 = 100;
const NS_PER_MS: u64 = 1_000_000;

fn bound_address(site: &BoundSite) -> BoundAddress {
    BoundAddress {
        module: site.module.clone(),
        address: format!("{:#x}", site.address()),
        function: site.function.to_string(),
        file: site.file.to_string(),
        line: site.line,
        resume: site.resume().word().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::fake::wanted;

    fn counters(hits: u64, kept: u64) -> SlotCounters {
        SlotCounters {
            hits,
            kept,
            condition_false: hits - kept,
            observed_ns: hits * 1_500_000,
            ..SlotCounters::default()
        }
    }

    fn action() -> Action {
        Action::new(wanted("a"), Instant::now())
    }

    /// As the engine counts a second.
    fn second(action: &mut Action, counters: SlotCounters, waiting: u64) -> Second {
        let mut second = action.look(counters, 0);
        second.decide(action.fates.take(waiting));
        second
    }

    #[test]
    fn a_row_has_what_happened_since_the_last() {
        let mut action = action();
        action.fates.tell(4);
        second(&mut action, counters(10, 4), 0);
        action.fates.tell(2);
        let second = second(&mut action, counters(15, 6), 0);
        assert_eq!(
            (second.row.hits, second.row.kept, second.row.matched),
            (5, 2, 2)
        );
        // 15 ms, then 22.5: what is cut off is not lost.
        assert_eq!(second.row.observed_ms, 7);
        assert!(second.losses.iter().all(|(_, count)| *count == 0));
    }

    #[test]
    fn what_the_outbox_refuses_is_dropped_and_not_kept() {
        let mut action = action();
        action.fates.tell(9);
        action.fates.lose("queue_full", 1);
        let told = second(&mut action, counters(10, 10), 0);
        assert_eq!((told.row.kept, told.row.dropped), (9, 1));
        assert!(told.losses.contains(&("queue_full", 1)));
        let counts = action.counts();
        assert_eq!((counts.kept, counts.dropped, counts.hits), (9, 1, 10));
        let told = second(&mut action, counters(10, 10), 0);
        assert!(told.losses.iter().all(|(_, count)| *count == 0));
    }

    #[test]
    fn what_is_lost_after_it_was_counted_is_in_no_row_as_kept() {
        let mut action = action();
        // Three wait for who reads the output, and four are in the ring.
        action.fates.tell(6);
        let first = second(&mut action, counters(10, 10), 3);
        assert_eq!((first.row.hits, first.row.kept), (10, 3));
        action.fates.take_back("output_full", 2);
        action.fates.tell(3);
        let next = second(&mut action, counters(10, 10), 0);
        assert_eq!((next.row.kept, next.row.dropped), (4, 2));
        // The process ends before the last is read.
        assert_eq!(action.undecided(), 1);
        action.fates.lose("not_read", 1);
        let rest = action.take_rest(0).unwrap();
        assert_eq!((rest.row.kept, rest.row.dropped), (0, 1));
        assert!(action.take_rest(0).is_none());
        let counts = action.counts();
        assert_eq!((counts.kept, counts.dropped), (7, 3));
    }

    #[test]
    fn counts_go_on_when_it_is_planted_again() {
        let mut action = action();
        action.fates.lose("queue_full", 1);
        action.look(counters(10, 5), 0);
        action.unplanted();
        let second = action.look(counters(3, 3), 0);
        assert_eq!(second.row.hits, 3);
        let counts = action.counts();
        assert_eq!((counts.hits, counts.kept, counts.dropped), (13, 7, 1));
    }

    #[test]
    fn the_limit_is_what_others_left_without_what_was_kept_here() {
        let mut action = action();
        assert_eq!(action.limit(), None);
        action.wanted.spec.max_hits = Some(10);
        assert_eq!(action.limit(), Some(10));
        action.wanted.hits_left = Some(6);
        assert_eq!(action.limit(), Some(6));
        action.look(counters(7, 4), 0);
        assert_eq!(action.limit(), Some(2));
        action.look(counters(9, 9), 0);
        assert_eq!(action.limit(), Some(0));
    }

    #[test]
    fn threads_that_go_on_too_early_are_tried_again_and_not_for_ever() {
        let mut action = action();
        action.wanted.spec.max_hits = Some(3);
        let mut hits = 0;
        let mut pass = |action: &mut Action, is_read: bool| {
            hits += 1;
            if !is_read {
                action.went_on();
            }
            action.look(counters(1, 1), 0);
            action.unplanted();
            action.tries_again()
        };
        // What comes of one now and then begins anew.
        for _ in 0..2 {
            for _ in 1..MOST_TRIES {
                assert!(pass(&mut action, false));
            }
            assert!(pass(&mut action, true));
        }
        for _ in 1..MOST_TRIES {
            assert!(pass(&mut action, false));
        }
        assert!(!pass(&mut action, false));
        let counts = action.counts();
        assert_eq!((counts.hits, counts.kept), (hits, 2));
        assert_eq!(counts.dropped, u64::from(3 * MOST_TRIES - 2));
    }

    #[test]
    fn the_same_is_not_told_twice() {
        let mut action = action();
        assert!(action.news().is_some());
        assert!(action.news().is_none());
        action.look(counters(1, 1), 0);
        assert_eq!(action.news().unwrap().counts.hits, 1);
    }
}
