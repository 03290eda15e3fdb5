use lr_protocol::{
    Action, ActionKind, ActionStatus, ActionTarget, Counts, Linger, NewAction, State,
};
use serde::{Deserialize, Serialize};

use super::Registry;
use super::agent::AgentRecord;
use super::effects::{Effects, Record};
use crate::id::{MAX_SHORT_TEXT, new_id};
use crate::problem::{Answer, Refusal};

/// Seconds after which an action expires unless said, and at most (DESIGN, actions).
pub(crate) const DEFAULT_EXPIRY_S: u64 = 3600;
pub(crate) const MAX_EXPIRY_S: u64 = 24 * 3600;
/// The longest location, template or condition.
const MAX_TEXT: usize = 16 * 1024;

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

    pub(super) fn submit_to(&mut self, agent_id: &str, now_us: i64) {
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
            paused_until: None,
        });
    }

    pub(super) fn record(&self) -> Record {
        Record {
            table: "actions",
            id: self.action.id.clone(),
            json: serde_json::to_string(self).expect("records have string keys only"),
        }
    }
}

impl Registry {
    /// Takes a new action in. Its state on the agents that it is for is `submitted`.
    pub(crate) fn create_action(
        &mut self,
        new: NewAction,
        created_by: String,
        now: std::time::Instant,
        now_us: i64,
    ) -> Answer<(Action, Effects)> {
        check(&new)?;
        let expires_in_s = new.spec.expires_in_s.unwrap_or(DEFAULT_EXPIRY_S);
        if let ActionTarget::Agent(id) = &new.target {
            self.live_agent(id)?;
        }
        if let Some(lease) = &new.lease {
            if self.leases.is_released(lease) {
                return Err(
                    Refusal::bad_request("the lease was given up").detail(format!("lease {lease}"))
                );
            }
            self.leases.mention(lease, now);
        }
        let expires_us = i64::try_from(expires_in_s * 1_000_000).unwrap_or(i64::MAX);
        let mut record = ActionRecord {
            action: Action {
                id: new_id(),
                version: 1,
                spec: new.spec,
                target: new.target,
                lease: new.lease,
                enabled: true,
                created_at: now_us,
                expires_at: now_us.saturating_add(expires_us),
                created_by,
                statuses: Vec::new(),
            },
            removed: false,
            expired: false,
        };
        let mut effects = Effects::default();
        let agents: Vec<String> = self
            .agents
            .values()
            .filter(|agent| agent.record.is_live() && record.is_for(&agent.record))
            .map(|agent| agent.record.id.clone())
            .collect();
        for agent_id in &agents {
            record.submit_to(agent_id, now_us);
        }
        let action = record.action.clone();
        effects.records.push(record.record());
        self.actions.insert(action.id.clone(), record);
        for agent_id in &agents {
            effects
                .events
                .extend(self.state_event(&action.id, agent_id));
            if let Some(agent) = self.agents.get(agent_id) {
                agent.bump();
            }
        }
        Ok((action, effects))
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

/// What the server can tell of a new action; whether it fits the program, the agent tells.
fn check(new: &NewAction) -> Answer<()> {
    let spec = &new.spec;
    let ActionKind::Log(log) = &spec.kind else {
        return Err(Refusal::bad_request("unknown kind of action")
            .detail("this server knows: log")
            .suggest("a newer server may know it: `lr server stop`, then use the newer `lr`"));
    };
    for (what, text) in [("location", &log.location), ("template", &log.template)] {
        check_text(what, text, MAX_TEXT)?;
    }
    if log.location.trim().is_empty() {
        return Err(Refusal::new("bad_location", "the location is empty"));
    }
    if let Some(condition) = &spec.condition {
        check_text("condition", condition, MAX_TEXT)?;
    }
    if let Some(name) = &spec.name {
        check_text("name", name, MAX_SHORT_TEXT)?;
        if name.is_empty() {
            return Err(Refusal::bad_request("the name is empty"));
        }
    }
    check_tags(&spec.tags)?;
    match &new.target {
        ActionTarget::Agent(id) => check_text("agent", id, MAX_SHORT_TEXT)?,
        ActionTarget::Tag(tag) => {
            check_text("tag", tag, MAX_SHORT_TEXT)?;
            if !tag.contains('=') {
                return Err(Refusal::bad_request("a target tag is written key=value"));
            }
        }
    }
    if let Some(lease) = &new.lease {
        check_text("lease", lease, MAX_SHORT_TEXT)?;
    }
    if spec
        .expires_in_s
        .is_some_and(|seconds| seconds == 0 || seconds > MAX_EXPIRY_S)
    {
        return Err(Refusal::bad_request("expiry out of range").detail(format!(
            "expires_in_s must be 1 to {MAX_EXPIRY_S} (24 hours)"
        )));
    }
    if spec.max_hits == Some(0) {
        return Err(Refusal::bad_request("max_hits must be at least 1"));
    }
    if spec
        .rate
        .is_some_and(|rate| !rate.is_finite() || rate <= 0.0)
    {
        return Err(Refusal::bad_request("rate must be a number above 0"));
    }
    Ok(())
}

pub(super) fn check_tags(tags: &std::collections::BTreeMap<String, String>) -> Answer<()> {
    if tags.len() > 64 {
        return Err(Refusal::bad_request("too many tags, at most 64"));
    }
    for (key, value) in tags {
        check_text("tag", key, MAX_SHORT_TEXT)?;
        check_text("tag", value, MAX_SHORT_TEXT)?;
    }
    Ok(())
}

pub(super) fn check_linger(linger: &Linger) -> Answer<()> {
    match linger {
        Linger::Lease(lease) => check_text("lease", lease, MAX_SHORT_TEXT),
        Linger::UntilDone => Ok(()),
    }
}

pub(super) fn check_text(what: &str, text: &str, limit: usize) -> Answer<()> {
    if text.len() > limit {
        return Err(Refusal::bad_request(format!("{what} too long"))
            .detail(format!("{} bytes, at most {limit} are allowed", text.len())));
    }
    if text.contains('\0') {
        return Err(Refusal::bad_request(format!(
            "{what} contains a NUL character"
        )));
    }
    Ok(())
}
