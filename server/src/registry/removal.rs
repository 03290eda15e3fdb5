use lr_protocol::{LiveEvent, LiveState, State};

use super::Registry;
use super::action::no_action;
use super::effects::{Effects, Told};
use crate::clock::rfc3339;
use crate::problem::Answer;

impl Registry {
    /// Removes an action. Agents that carry it confirm; elsewhere it is `removed` at once.
    pub(crate) fn remove_action(
        &mut self,
        id: &str,
        now: std::time::Instant,
        now_us: i64,
    ) -> Answer<Effects> {
        if !self.actions.contains_key(id) {
            return Err(no_action(id));
        }
        let mut effects = self.drop_action(id, now_us);
        effects.append(self.settle_agents(now, now_us));
        Ok(effects)
    }

    pub(super) fn drop_action(&mut self, id: &str, now_us: i64) -> Effects {
        if let Some(record) = self.actions.get_mut(id) {
            record.removed = true;
        }
        self.withdraw(id, State::Removed, now_us, |state| {
            state == State::Submitted
        })
    }

    pub(super) fn expire_action(&mut self, id: &str, now_us: i64) -> Effects {
        if let Some(record) = self.actions.get_mut(id) {
            record.expired = true;
        }
        // Expiry holds whether or not the agent can still say so.
        self.withdraw(id, State::Expired, now_us, |state| !state.is_final())
    }

    /// Takes an action out of the wanted sets; where `at_once` says so of its state, it has the
    /// new state without waiting for the agent.
    fn withdraw(
        &mut self,
        id: &str,
        to: State,
        now_us: i64,
        at_once: impl Fn(State) -> bool,
    ) -> Effects {
        let mut effects = Effects::default();
        let Some(record) = self.actions.get_mut(id) else {
            return effects;
        };
        let mut changed = Vec::new();
        let mut agents = Vec::new();
        for status in &mut record.action.statuses {
            agents.push(status.agent_id.clone());
            if at_once(status.state) {
                status.state = to;
                status.updated_at = now_us;
                changed.push(status.agent_id.clone());
            }
        }
        effects.records.push(record.record());
        for agent_id in &changed {
            effects.events.extend(self.state_event(id, agent_id));
        }
        for agent_id in &agents {
            if let Some(agent) = self.agents.get(agent_id) {
                agent.bump();
            }
        }
        effects
    }

    /// The event that tells the state of an action on an agent.
    pub(super) fn state_event(&self, action_id: &str, agent_id: &str) -> Option<Told> {
        let record = self.actions.get(action_id)?;
        let status = record.status(agent_id)?;
        Some(Told {
            event: LiveEvent::State(LiveState {
                ts: rfc3339(status.updated_at),
                agent: agent_id.to_owned(),
                action: action_id.to_owned(),
                state: status.state,
                bound: u32::try_from(status.bound.len()).unwrap_or(u32::MAX),
                warnings: status.warnings.clone(),
                error: status.error.clone(),
            }),
            scope: self.scope(agent_id, Some(action_id)),
            number: None,
        })
    }
}
