//! What changes an action: always the next version of it, but for whether it is enabled.

use std::time::Instant;

use lr_protocol::{Action, DuplicateAction, EditAction, NewAction, State, Stopped};

use super::Registry;
use super::action::{ActionRecord, no_action};
use super::check::checked;
use super::effects::Effects;
use crate::problem::{Answer, Refusal};

impl Registry {
    /// Makes another version of an action. Of two edits of one version the first counts, and the
    /// second is refused: whoever made it has not seen what it would undo.
    pub(crate) fn edit_action(
        &mut self,
        id: &str,
        edit: EditAction,
        now: Instant,
        now_us: i64,
    ) -> Answer<(Action, Effects)> {
        let spec = checked(edit.spec)?;
        let record = self.revisable(id)?;
        let current = &record.action;
        if edit.version != current.version {
            return Err(Refusal::new(
                "version_conflict",
                format!("action {id} was edited meanwhile"),
            )
            .detail(format!(
                "the edit is of version {}, the action is at version {}",
                edit.version, current.version
            ))
            .suggest(format!("look at it again with `lr actions {id}`")));
        }
        if spec.kind.word() != current.spec.kind.word() {
            return Err(
                Refusal::bad_request("an edit cannot change the kind of an action").detail(
                    format!("{} to {}", current.spec.kind.word(), spec.kind.word()),
                ),
            );
        }
        if let Some(record) = self.actions.get_mut(id) {
            record.action.spec = spec;
        }
        let effects = self.begin_version(id, now, now_us);
        Ok((self.action(id)?, effects))
    }

    /// Starts an action from the beginning, whether or not it is over.
    pub(crate) fn retake_action(
        &mut self,
        id: &str,
        now: Instant,
        now_us: i64,
    ) -> Answer<(Action, Effects)> {
        self.revisable(id)?;
        if let Some(record) = self.actions.get_mut(id) {
            record.action.enabled = true;
        }
        let effects = self.begin_version(id, now, now_us);
        Ok((self.action(id)?, effects))
    }

    /// Switches an action on or off. Its counts and its time go on.
    pub(crate) fn set_enabled(
        &mut self,
        id: &str,
        enabled: bool,
        now: Instant,
        now_us: i64,
    ) -> Answer<(Action, Effects)> {
        let record = self.actions.get(id).ok_or_else(|| no_action(id))?;
        if !record.is_wanted() || record.is_final() {
            return Err(ended(record).suggest(format!("`lr retake {id}` starts it again")));
        }
        let statuses = &record.action.statuses;
        // Only another version is news to an agent that has disabled it by itself.
        if enabled && record.action.enabled && statuses.iter().any(|s| s.state == State::Disabled) {
            return self.retake_action(id, now, now_us);
        }
        let mut effects = Effects::default();
        if record.action.enabled != enabled {
            let agents: Vec<String> = statuses.iter().map(|s| s.agent_id.clone()).collect();
            if let Some(record) = self.actions.get_mut(id) {
                record.action.enabled = enabled;
                effects.records.push(record.record());
            }
            for agent_id in &agents {
                if let Some(agent) = self.agents.get(agent_id) {
                    agent.bump();
                }
            }
        }
        Ok((self.action(id)?, effects))
    }

    /// A new action that is like this one. It belongs to nobody's lease unless said.
    pub(crate) fn duplicate_action(
        &mut self,
        id: &str,
        different: DuplicateAction,
        created_by: String,
        now: Instant,
        now_us: i64,
    ) -> Answer<(Action, Effects)> {
        let original = self.action(id)?;
        let mut spec = original.spec;
        spec.name = different.name.or(spec.name);
        let new = NewAction {
            spec,
            target: different.target.unwrap_or(original.target),
            lease: different.lease,
        };
        self.create_action(new, created_by, now, now_us)
    }

    /// Removes every action that is not over.
    pub(crate) fn stop_all(&mut self, now: Instant, now_us: i64) -> (Stopped, Effects) {
        let actions: Vec<String> = self
            .actions
            .values()
            .filter(|record| !record.removed && !record.is_final())
            .map(|record| record.action.id.clone())
            .collect();
        let mut effects = Effects::default();
        for id in &actions {
            effects.append(self.drop_action(id, now_us));
        }
        effects.append(self.settle_agents(now, now_us));
        (Stopped { actions }, effects)
    }

    /// An action of which there can be another version.
    fn revisable(&self, id: &str) -> Answer<&ActionRecord> {
        let record = self.actions.get(id).ok_or_else(|| no_action(id))?;
        if record.removed {
            return Err(ended(record).suggest(format!("`lr duplicate {id}` makes another like it")));
        }
        self.check_reach(&record.action.target, record.action.lease.as_deref())?;
        Ok(record)
    }
}

fn ended(record: &ActionRecord) -> Refusal {
    let how = match (record.removed, record.expired) {
        (true, _) => "was removed",
        (false, true) => "has expired",
        (false, false) => "has ended",
    };
    Refusal::new("action_ended", format!("action {} {how}", record.action.id))
}
