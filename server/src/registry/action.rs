use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lr_protocol::{Action, ActionSpec, ActionStatus, ActionTarget, Counts, NewAction, State};
use serde::{Deserialize, Serialize};

use super::Registry;
use super::agent::AgentRecord;
use super::check::{check_target, check_text, checked};
use super::effects::{Effects, Record};
use crate::id::{MAX_SHORT_TEXT, new_id};
use crate::problem::{Answer, Refusal};

/// Seconds after which an action expires unless said, and at most (DESIGN, actions).
const DEFAULT_EXPIRY_S: u64 = 3600;
pub(super) const MAX_EXPIRY_S: u64 = 24 * 3600;

/// An action as it is stored: serialized for our own database, not for the wire.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ActionRecord {
    #[serde(flatten)]
    pub(crate) action: Action,
    /// Nobody wants it any more.
    #[serde(default)]
    pub(crate) removed: bool,
    #[serde(default)]
    pub(crate) expired: bool,
    /// Events of this version that each agent has sent: an agent that dies has often sent more
    /// than its last status says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) stored: BTreeMap<String, u64>,
    /// When it expires by the clock that does not jump; `expires_at` is for people.
    #[serde(skip)]
    pub(super) deadline: Option<Instant>,
}

impl ActionRecord {
    /// Whether agents are to carry it.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.removed && !self.expired
    }

    /// Whether nothing more will come of it anywhere.
    pub(crate) fn is_final(&self) -> bool {
        let all_final = self
            .action
            .statuses
            .iter()
            .all(|status| status.state.is_final());
        match self.action.target {
            ActionTarget::Agent(_) => all_final,
            // Agents that do not exist yet may carry the tag.
            ActionTarget::Tag(_) => all_final && !self.is_wanted(),
        }
    }

    pub(crate) fn is_for(&self, agent: &AgentRecord) -> bool {
        match &self.action.target {
            ActionTarget::Agent(id) => *id == agent.id,
            ActionTarget::Tag(tag) => agent.carries(tag),
        }
    }

    pub(crate) fn status(&self, agent_id: &str) -> Option<&ActionStatus> {
        self.action
            .statuses
            .iter()
            .find(|status| status.agent_id == agent_id)
    }

    pub(super) fn status_mut(&mut self, agent_id: &str) -> Option<&mut ActionStatus> {
        self.action
            .statuses
            .iter_mut()
            .find(|status| status.agent_id == agent_id)
    }

    /// Whether its time is over.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Gives it the time that it had left when it was stored, and never more than its whole.
    pub(super) fn restore_deadline(&mut self, now: Instant, now_us: i64) {
        let left_us = self.action.expires_at.saturating_sub(now_us);
        let left = Duration::from_micros(u64::try_from(left_us).unwrap_or(0));
        self.deadline = Some(now + left.min(lifetime(&self.action.spec)));
    }

    /// Whether `agent` is to carry it and has not finished with it.
    pub(super) fn is_active_on(&self, agent: &AgentRecord) -> bool {
        self.is_wanted()
            && self.is_for(agent)
            && self
                .status(&agent.id)
                .is_none_or(|status| !status.state.is_final())
    }

    /// Its name, or its id where it has none.
    pub(crate) fn name(&self) -> &str {
        self.action.spec.name.as_deref().unwrap_or(&self.action.id)
    }

    /// Its state on an agent is that of an action that the agent has not heard of.
    pub(super) fn submit_to(&mut self, agent_id: &str, now_us: i64) {
        let statuses = &mut self.action.statuses;
        statuses.retain(|status| status.agent_id != agent_id);
        self.action.statuses.push(ActionStatus {
            agent_id: agent_id.to_owned(),
            action_id: self.action.id.clone(),
            action_version: self.action.version,
            state: State::Submitted,
            updated_at: now_us,
            counts: Counts::default(),
            bound: Vec::new(),
            warnings: Vec::new(),
            error: None,
            last_error: None,
            paused_until: None,
            passes_per_second: None,
        });
    }

    pub(super) fn record(&self) -> Record {
        Record {
            table: "actions",
            id: self.action.id.clone(),
            json: serde_json::to_string(self).expect("records have string keys only"),
        }
    }

    /// What the version was that it has now; kept when there are others.
    fn version_record(&self) -> Record {
        let action = Action {
            statuses: Vec::new(),
            ..self.action.clone()
        };
        Record {
            table: "action_versions",
            id: format!("{}/{}", action.id, action.version),
            json: serde_json::to_string(&action).expect("records have string keys only"),
        }
    }
}

/// How long a version of an action lasts.
fn lifetime(spec: &ActionSpec) -> Duration {
    let seconds = spec.expires_in_s.unwrap_or(DEFAULT_EXPIRY_S);
    Duration::from_secs(seconds.min(MAX_EXPIRY_S))
}

impl Registry {
    /// Takes a new action in. Its state on the agents that it is for is `submitted`.
    pub(crate) fn create_action(
        &mut self,
        new: NewAction,
        created_by: String,
        now: Instant,
        now_us: i64,
    ) -> Answer<(Action, Effects)> {
        let new = NewAction {
            spec: checked(new.spec)?,
            ..new
        };
        check_target(&new.target)?;
        self.check_reach(&new.target, new.lease.as_deref())?;
        if let Some(lease) = &new.lease {
            self.leases.mention(lease, now);
        }
        let id = new_id();
        let record = ActionRecord {
            action: Action {
                id: id.clone(),
                version: 0,
                spec: new.spec,
                target: new.target,
                lease: new.lease,
                enabled: true,
                created_at: now_us,
                expires_at: now_us,
                created_by,
                statuses: Vec::new(),
            },
            removed: false,
            expired: false,
            stored: BTreeMap::new(),
            deadline: None,
        };
        self.actions.insert(id.clone(), record);
        let effects = self.begin_version(&id, now, now_us);
        Ok((self.action(&id)?, effects))
    }

    /// Whether there is somebody to carry an action, and somebody who wants it.
    pub(super) fn check_reach(&self, target: &ActionTarget, lease: Option<&str>) -> Answer<()> {
        if let ActionTarget::Agent(id) = target {
            self.live_agent(id)?;
        }
        if let Some(lease) = lease {
            check_text("lease", lease, MAX_SHORT_TEXT)?;
        }
        match lease {
            Some(lease) if self.leases.is_released(lease) => {
                Err(Refusal::bad_request("the lease was given up").detail(format!("lease {lease}")))
            }
            _ => Ok(()),
        }
    }

    /// Makes what an action's record says its next version: everywhere from the beginning, with
    /// its whole time before it.
    pub(super) fn begin_version(&mut self, id: &str, now: Instant, now_us: i64) -> Effects {
        let mut effects = Effects::default();
        let Some(record) = self.actions.get_mut(id) else {
            return effects;
        };
        let lifetime = lifetime(&record.action.spec);
        let lifetime_us = i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX);
        record.action.version += 1;
        record.action.expires_at = now_us.saturating_add(lifetime_us);
        record.deadline = Some(now + lifetime);
        record.expired = false;
        record.stored.clear();
        let agents: Vec<String> = self
            .agents
            .values()
            .filter(|agent| agent.record.is_live() && record.is_for(&agent.record))
            .map(|agent| agent.record.id.clone())
            .collect();
        for agent_id in &agents {
            record.submit_to(agent_id, now_us);
        }
        effects.records.push(record.record());
        effects.records.push(record.version_record());
        for agent_id in &agents {
            effects.events.extend(self.state_event(id, agent_id));
            if let Some(agent) = self.agents.get(agent_id) {
                agent.bump();
            }
        }
        effects
    }

    /// Actions, oldest first; those that are final only if asked for.
    pub(crate) fn list_actions(&self, all: bool) -> Vec<Action> {
        let mut actions: Vec<Action> = self
            .actions
            .values()
            .filter(|record| all || !record.is_final())
            .map(|record| record.action.clone())
            .collect();
        actions.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        actions
    }

    pub(crate) fn action(&self, id: &str) -> Answer<Action> {
        let record = self.actions.get(id).ok_or_else(|| no_action(id))?;
        Ok(record.action.clone())
    }

    /// The agent with this id, if it has not ended.
    fn live_agent(&self, id: &str) -> Answer<&AgentRecord> {
        let agent = self.agents.get(id).ok_or_else(|| {
            Refusal::not_found(format!("no agent {id}")).suggest("lr agents lists them")
        })?;
        if agent.told_to_detach && agent.record.is_live() {
            return Err(Refusal::new(
                "agent_detaching",
                format!("agent {id} is letting go of its process"),
            )
            .suggest("attach again once it has ended"));
        }
        if agent.record.is_live() {
            return Ok(&agent.record);
        }
        let why = agent.record.end.as_ref().map_or("", |end| &end.message);
        Err(Refusal::new("process_gone", format!("agent {id} has ended")).detail(why))
    }
}

pub(super) fn no_action(id: &str) -> Refusal {
    Refusal::not_found(format!("no action {id}")).suggest("lr actions lists them")
}
