use std::time::Instant;

use lr_protocol::{AgentState, Linger, State, WantedAction, WantedActions};
use tokio::sync::watch;

use super::Registry;
use super::action::ActionRecord;
use super::agent::{AgentEntry, AgentRecord};
use super::effects::Effects;
use crate::problem::{Answer, Refusal};

impl Registry {
    /// The channel on which an agent's revision changes. Asking is a sign of life.
    pub(crate) fn watch_wanted(
        &mut self,
        agent_id: &str,
        now_us: i64,
    ) -> Answer<watch::Receiver<u64>> {
        let agent = self.agents.get_mut(agent_id).ok_or_else(unknown_session)?;
        agent.hear(now_us);
        Ok(agent.revision.subscribe())
    }

    /// What an agent is to carry now. What it has not seen before becomes `delivered`.
    pub(crate) fn wanted(
        &mut self,
        agent_id: &str,
        now: Instant,
        now_us: i64,
    ) -> Answer<(WantedActions, Effects)> {
        let agent = self.agents.get_mut(agent_id).ok_or_else(unknown_session)?;
        agent.hear(now_us);
        let mut wanted = WantedActions {
            revision: *agent.revision.borrow(),
            actions: Vec::new(),
            detach: agent.told_to_detach || !agent.record.is_live(),
        };
        let record = agent.record.clone();
        let mut effects = Effects::default();
        let mut delivered = Vec::new();
        for action in self
            .actions
            .values_mut()
            .filter(|action| action.is_active_on(&record) && !action.is_overdue(now))
        {
            wanted.actions.push(wanted_action(action, &record, now));
            if let Some(status) = action.status_mut(agent_id)
                && status.state == State::Submitted
            {
                status.state = State::Delivered;
                status.updated_at = now_us;
                effects.records.push(action.record());
                delivered.push(action.action.id.clone());
            }
        }
        for id in delivered {
            effects.events.extend(self.state_event(&id, agent_id));
        }
        wanted.actions.sort_by(|a, b| a.action_id.cmp(&b.action_id));
        Ok((wanted, effects))
    }

    /// Tells agents that have nothing left to stay for to let go.
    pub(super) fn settle_agents(&mut self, now: Instant, _now_us: i64) -> Effects {
        let mut effects = Effects::default();
        let due: Vec<String> = self
            .agents
            .values()
            .filter(|agent| agent.record.is_live() && !agent.told_to_detach)
            .filter(|agent| self.may_go(&agent.record, now))
            .map(|agent| agent.record.id.clone())
            .collect();
        for id in due {
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.told_to_detach = true;
                agent.record.state = AgentState::Detaching;
                agent.bump();
                effects.records.push(agent.record.record());
            }
        }
        effects
    }

    fn may_go(&self, agent: &AgentRecord, now: Instant) -> bool {
        if agent.detach_requested {
            return true;
        }
        let mut its_actions = self.actions.values().filter(|action| action.is_for(agent));
        match &agent.linger {
            Linger::Lease(lease) => {
                !self.leases.is_held(lease, now)
                    && !its_actions.any(|action| action.is_active_on(agent))
            }
            Linger::UntilDetached => false,
            Linger::UntilDone => {
                let mut any = false;
                for action in its_actions {
                    // An action from before this agent came was never given to it.
                    any |= action.status(&agent.id).is_some();
                    if action.is_active_on(agent) {
                        return false;
                    }
                }
                any
            }
        }
    }
}

impl AgentEntry {
    /// Notes a sign of life.
    pub(super) fn hear(&mut self, now_us: i64) {
        self.heard = Instant::now();
        self.record.last_seen = now_us;
        if self.record.state == AgentState::Silent {
            self.record.state = if self.told_to_detach {
                AgentState::Detaching
            } else {
                AgentState::Attached
            };
        }
    }
}

fn wanted_action(record: &ActionRecord, agent: &AgentRecord, now: Instant) -> WantedAction {
    let action = &record.action;
    let left = record
        .deadline
        .map(|deadline| deadline.saturating_duration_since(now));
    WantedAction {
        action_id: action.id.clone(),
        version: action.version,
        spec: action.spec.clone(),
        enabled: action.enabled,
        expires_in_ms: left.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(0)),
        hits_left: action
            .spec
            .max_hits
            .map(|max| max.saturating_sub(kept_elsewhere(record, agent))),
    }
}

/// Events that other agents have had: what this one has had, it knows itself.
fn kept_elsewhere(record: &ActionRecord, agent: &AgentRecord) -> u64 {
    record
        .action
        .statuses
        .iter()
        .filter(|status| status.agent_id != agent.id)
        .filter(|status| status.action_version == record.action.version)
        .map(|status| {
            let stored = record.stored.get(&status.agent_id).copied().unwrap_or(0);
            status.counts.kept.max(stored)
        })
        .sum()
}

pub(super) fn unknown_session() -> Refusal {
    Refusal::new(
        "unknown_session",
        "this server does not know the agent or its session",
    )
    .suggest("register again: POST /api/v1/agents")
}
