//! Each second's rows: what was observed, what it cost, what was lost, and what was counted.

use lr_protocol::State;
use lr_tracer::Groups;

use super::Engine;
use super::action::Action;
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

    /// Counts what the action's output took and did not write.
    fn count_unwritten(&mut self, id: &str) {
        let Some(action) = self.actions.get_mut(id) else {
            return;
        };
        let unwritten = action.way.take_unwritten();
        // What is counted in rows is kept in the tracer already, and so are copies by the server.
        let is_kept = unwritten.are_copies || action.is_counting();
        for (reason, count) in unwritten.lost {
            match is_kept {
                true => self.outbox.put_loss(Some(id), reason, count),
                false => action.events_refused(reason, count),
            }
        }
    }

    /// The last words of an action's output.
    pub(super) fn settle_output(&mut self, id: &str) {
        if let Some(action) = self.actions.get(id) {
            action.way.settle();
        }
        self.count_unwritten(id);
    }

    /// The same with what the tracer has told already.
    pub(super) fn count_with(&mut self, id: &str, groups: Option<Groups>) {
        self.count_unwritten(id);
        let Some(action) = self.actions.get_mut(id) else {
            return;
        };
        let second = match (&action.planted, &self.tracer) {
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
        for (reason, count) in second.losses {
            self.outbox.put_loss(Some(id), reason, count);
        }
        if action.planted.is_some() && action.is_counting() {
            let (observed_ms, stop_ns) = (second.row.observed_ms, second.overhead.stop_ns);
            self.tell_rows(id, groups, observed_ms, stop_ns);
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
            let missing = action.missing_in_rows();
            action.put_in_rows(missing);
            return self.outbox.put_loss(Some(id), "tracer_died", missing);
        };
        let without = Unnumbered::of(&groups);
        action.put_in_rows(without.of);
        if action.state == State::Bound && without.of > 0 {
            action.state = State::Hit;
        }
        for (reason, count) in [
            ("no_value", without.without_value),
            ("not_finite", without.not_finite),
        ] {
            self.outbox.put_loss(Some(id), reason, count);
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
            if let Err(reason) = action.way.put(row, &self.writer, &self.outbox) {
                self.outbox.put_loss(Some(id), reason, count);
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
