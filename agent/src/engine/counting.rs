//! Each second's rows: what was observed, what it cost, what was lost, and what was counted.

use lr_protocol::State;
use lr_tracer::Groups;

use super::Engine;
use super::action::{Action, Second};
use super::planted::Planted;
use super::rows::{Counted, Unnumbered, rows_of};

impl Engine {
    /// A row of coverage and what was lost, also if nothing was hit; of what is counted in the
    /// tracer, what was.
    pub(super) fn count(&mut self, id: &str) {
        let groups = self.take_groups(id);
        self.count_with(id, groups);
    }

    fn take_groups(&mut self, id: &str) -> Option<Groups> {
        let action = self.actions.get(id).filter(|action| action.is_counting())?;
        let slot = action.planted.as_ref()?.slot;
        // Should the tracer be dead, others notice; the shared counters still say how much was
        // counted.
        self.tracer.as_mut()?.take_groups(slot).ok()
    }

    /// Counts what the action's output took and did not write. Hits that may still be.
    fn count_unwritten(&mut self, id: &str) -> u64 {
        let Some(action) = self.actions.get_mut(id) else {
            return 0;
        };
        let unwritten = action.way.take_unwritten();
        for (reason, count) in unwritten.lost {
            // Of what was lost, the server may have its own.
            match unwritten.are_copies {
                true => self.outbox.put_loss(Some(id), reason, count),
                false => action.fates.take_back(reason, count),
            }
        }
        unwritten.waiting
    }

    /// The last words of an action's output.
    pub(super) fn settle_output(&mut self, id: &str) {
        if let Some(action) = self.actions.get_mut(id) {
            action.way.settle();
        }
    }

    /// What is decided after the last count. What is not decided by now never will be.
    pub(super) fn count_rest(&mut self, id: &str) {
        let waiting = self.count_unwritten(id);
        let Some(action) = self.actions.get_mut(id) else {
            return;
        };
        let undecided = action.undecided();
        action.fates.lose("not_read", undecided);
        if let Some(rest) = action.take_rest(waiting) {
            self.put_second(id, rest);
        }
    }

    /// The same with what the tracer has told already.
    pub(super) fn count_with(&mut self, id: &str, groups: Option<Groups>) {
        let Some(action) = self.actions.get_mut(id) else {
            return;
        };
        let mut second = match (&action.planted, &self.tracer) {
            (Some(planted), Some(tracer)) => {
                let slot = planted.slot;
                let now = groups.as_ref().map(|groups| groups.counters);
                let counters = now.unwrap_or_else(|| tracer.counters(slot));
                action.look(counters, tracer.take_longest_stop(slot))
            }
            // A time that was not observed is not a time without hits.
            _ if action.state == State::Pending => action.look_unplanted(),
            _ => return,
        };
        if action.planted.is_some() && action.is_counting() {
            let (observed_ms, stop_ns) = (second.row.observed_ms, second.overhead.stop_ns);
            self.tell_rows(id, groups, observed_ms, stop_ns);
        }
        let waiting = self.count_unwritten(id);
        if let Some(action) = self.actions.get_mut(id) {
            second.decide(action.fates.take(waiting));
        }
        self.put_second(id, second);
    }

    fn put_second(&mut self, id: &str, second: Second) {
        for (reason, count) in second.losses {
            self.outbox.put_loss(Some(id), reason, count);
        }
        if self.actions[id].planted.is_some() {
            self.outbox.put_overhead(second.overhead);
        }
        self.outbox.put_coverage(second.row);
    }

    fn tell_rows(&mut self, id: &str, groups: Option<Groups>, observed_ms: u64, stop_ns: u64) {
        let Some(action) = self.actions.get_mut(id) else {
            return;
        };
        let Some(groups) = groups else {
            // A dead tracer takes the groups of its last second with it, and not their number.
            let missing = action.undecided();
            return action.fates.lose("tracer_died", missing);
        };
        let without = Unnumbered::of(&groups);
        if action.state == State::Bound && without.of > 0 {
            action.state = State::Hit;
        }
        for (reason, count) in [
            ("no_value", without.without_value),
            ("not_finite", without.not_finite),
        ] {
            action.fates.lose(reason, count);
        }
        let Some(planted) = &action.planted else {
            return;
        };
        let counted = Counted {
            wanted: &action.wanted,
            layouts: &planted.layouts,
            place: &place_of(action, planted),
            observed_ms,
            stop_ns,
        };
        for row in rows_of(&groups, &counted) {
            let count = row.count;
            match action.way.put(row, &self.writer, &self.outbox) {
                Ok(()) => action.fates.tell(count),
                Err(reason) => action.fates.lose(reason, count),
            }
        }
    }
}

/// `function:line` of the first place; the location where it has none.
fn place_of(action: &Action, planted: &Planted) -> String {
    match planted.sites().next() {
        Some(site) if !site.function.is_empty() => format!("{}:{}", site.function, site.line),
        _ => action.wanted.spec.kind.location().to_owned(),
    }
}
