use std::sync::Arc;
use std::time::Instant;

use lr_protocol::{
    Agent, AgentState, End, EndReason, LiveEnd, LiveEvent, PROTOCOL_VERSION, RegisterAgent,
    Registered, State, StatusError,
};

use super::Registry;
use super::agent::{AgentEntry, AgentRecord};
use super::check::{check_linger, check_tags, check_text};
use super::effects::{Effects, Scope, Told};
use crate::clock::rfc3339;
use crate::id::{MAX_SHORT_TEXT, new_id};
use crate::problem::{Answer, Refusal};

/// Seconds without word from the server after which an agent disarms (DESIGN, "off is off").
const DISARM_AFTER_S: u64 = 60;

impl Registry {
    /// Takes an agent in. The same agent of the same process gets its id back and a new session.
    pub(crate) fn register(
        &mut self,
        new: RegisterAgent,
        local_start: Option<u64>,
        now: Instant,
        now_us: i64,
    ) -> Answer<(Registered, Effects)> {
        check(&new)?;
        let mut effects = Effects::default();
        let known = self.agents.values().find(|agent| {
            agent.record.is_live()
                && agent.record.host == new.host
                && agent.record.process.process_id == new.process.process_id
        });
        let mut id = new_id();
        if let Some(known) = known {
            let known = known.record.clone();
            if known.agent_pid == new.agent_pid {
                id = known.id;
            } else if self.seems_alive(&known, now) {
                return Err(Refusal::new("already_attached", "the process has an agent")
                    .detail(format!(
                        "agent {} ({}), pid {}",
                        known.id, known.name, known.agent_pid
                    ))
                    .suggest("add actions to that agent, or `lr detach` it"));
            } else {
                effects.append(self.end_agent(&known.id, lost_agent(&known, now_us), now_us));
            }
        }
        if let Some(lease) = lease_of(&new) {
            self.leases.mention(lease, now);
        }
        let record = AgentRecord {
            id: id.clone(),
            session: new_id(),
            name: new.name,
            tags: new.tags,
            host: new.host,
            agent_version: new.agent_version,
            agent_pid: new.agent_pid,
            agent_uid: new.agent_uid,
            process: new.process,
            linger: new.linger,
            state: AgentState::Attached,
            registered_at: now_us,
            last_seen: now_us,
            detach_requested: false,
            local_start,
            end: None,
        };
        let registered = Registered {
            agent_id: id.clone(),
            session: record.session.clone(),
            protocol_version: new.protocol_version.min(PROTOCOL_VERSION),
            disarm_after_s: DISARM_AFTER_S,
        };
        effects.records.push(record.record());
        let mut submitted = Vec::new();
        for action in self.actions.values_mut() {
            let is_wanted = action.is_wanted() && !action.is_overdue(now);
            if is_wanted && action.is_for(&record) && action.status(&id).is_none() {
                action.submit_to(&id, now_us);
                effects.records.push(action.record());
                submitted.push(action.action.id.clone());
            }
        }
        self.agents
            .insert(id.clone(), AgentEntry::new(record, self.first_revision));
        for action_id in submitted {
            effects.events.extend(self.state_event(&action_id, &id));
        }
        Ok((registered, effects))
    }

    /// Agents, oldest first; those that ended only if asked for.
    pub(crate) fn list_agents(&self, all: bool) -> Vec<Agent> {
        let mut agents: Vec<Agent> = self
            .agents
            .values()
            .filter(|agent| all || agent.record.is_live())
            .map(|agent| self.agent_for_clients(&agent.record))
            .collect();
        agents.sort_by(|a, b| (a.registered_at, &a.id).cmp(&(b.registered_at, &b.id)));
        agents
    }

    /// The processes of this host that agents are attached to.
    pub(crate) fn processes_here(&self) -> Vec<u32> {
        let agents = self.agents.values().map(|agent| &agent.record);
        let here = agents.filter(|record| record.is_live() && record.local_start.is_some());
        here.map(|record| record.process.pid).collect()
    }

    pub(crate) fn live_agents(&self) -> usize {
        self.agents
            .values()
            .filter(|agent| agent.record.is_live())
            .count()
    }

    /// Asks an agent to let go of its process.
    pub(crate) fn request_detach(
        &mut self,
        id: &str,
        now: Instant,
        now_us: i64,
    ) -> Answer<Effects> {
        let agent = self.agents.get_mut(id).ok_or_else(|| {
            Refusal::not_found(format!("no agent {id}")).suggest("lr agents lists them")
        })?;
        agent.record.detach_requested = true;
        Ok(self.settle_agents(now, now_us))
    }

    /// Ends an agent: no action is active on it any more.
    pub(super) fn end_agent(&mut self, id: &str, end: End, now_us: i64) -> Effects {
        let mut effects = Effects::default();
        let Some(agent) = self.agents.get_mut(id) else {
            return effects;
        };
        if !agent.record.is_live() {
            return effects;
        }
        agent.record.state = AgentState::Ended;
        agent.record.end = Some(end.clone());
        agent.bump();
        let record = agent.record.clone();
        effects.records.push(record.record());
        let scope = self.scope(id, None);
        let mut changed = Vec::new();
        for action in self.actions.values_mut() {
            let removed = action.removed;
            let Some(status) = action.status_mut(id) else {
                continue;
            };
            if status.state.is_final() {
                continue;
            }
            status.state = final_state(removed, end.reason);
            if status.state == State::Error && status.error.is_none() {
                status.error = Some(agent_failed(&end));
            }
            if status.state == State::Gone {
                status.last_error = Some(end.message.clone());
            }
            status.updated_at = now_us;
            effects.records.push(action.record());
            changed.push(action.action.id.clone());
        }
        for action_id in changed {
            effects.events.extend(self.state_event(&action_id, id));
        }
        effects.events.push(Told {
            event: LiveEvent::End(LiveEnd {
                ts: rfc3339(end.ts),
                agent: id.to_owned(),
                process: record.process.process_id,
                pid: record.process.pid,
                reason: end.reason,
                message: end.message,
            }),
            scope,
            number: None,
        });
        effects
    }

    /// Whom an event of this agent, and of this action if it is about one, concerns.
    pub(super) fn scope(&self, agent_id: &str, action_id: Option<&str>) -> Arc<Scope> {
        let mut scope = Scope {
            agent_id: agent_id.to_owned(),
            ..Scope::default()
        };
        let agent = self.agents.get(agent_id).map(|agent| &agent.record);
        if let Some(agent) = agent {
            scope.agent_name.clone_from(&agent.name);
            scope.pid = agent.process.pid;
        }
        match (action_id, agent) {
            (Some(action_id), _) => {
                action_id.clone_into(&mut scope.action_id);
                if let Some(action) = self.actions.get(action_id) {
                    action.name().clone_into(&mut scope.action_name);
                    scope.leases.extend(action.action.lease.clone());
                }
            }
            (None, Some(agent)) => {
                scope.leases.extend(agent.lease().map(str::to_owned));
                let its_actions = self.actions.values().filter(|action| action.is_for(agent));
                scope
                    .leases
                    .extend(its_actions.filter_map(|action| action.action.lease.clone()));
                scope.leases.sort();
                scope.leases.dedup();
            }
            (None, None) => {}
        }
        Arc::new(scope)
    }

    fn agent_for_clients(&self, record: &AgentRecord) -> Agent {
        let active = self
            .actions
            .values()
            .filter(|action| action.is_active_on(record))
            .count();
        Agent {
            id: record.id.clone(),
            session: record.session.clone(),
            name: record.name.clone(),
            tags: record.tags.clone(),
            host: record.host.clone(),
            agent_version: record.agent_version.clone(),
            agent_pid: record.agent_pid,
            process: record.process.clone(),
            state: record.state,
            registered_at: record.registered_at,
            last_seen: record.last_seen,
            actions: u32::try_from(active).unwrap_or(u32::MAX),
        }
    }

    fn seems_alive(&self, agent: &AgentRecord, now: Instant) -> bool {
        match agent.local_start {
            Some(start) => crate::proc::start_time(agent.agent_pid) == Some(start),
            None => self.agents.get(&agent.id).is_some_and(|entry| {
                now.saturating_duration_since(entry.heard).as_secs() < DISARM_AFTER_S
            }),
        }
    }
}

/// How an agent ended that died without a word.
pub(super) fn lost_agent(agent: &AgentRecord, now_us: i64) -> End {
    End {
        ts: now_us,
        reason: EndReason::Failed,
        message: format!(
            "the agent (pid {}) died; its tracer lets go of the process",
            agent.agent_pid
        ),
        restored: 0,
    }
}

fn final_state(removed: bool, reason: EndReason) -> State {
    match reason {
        _ if removed => State::Removed,
        EndReason::Exited | EndReason::Killed | EndReason::Execed => State::Gone,
        EndReason::Detached => State::Removed,
        EndReason::Failed | EndReason::Unknown => State::Error,
    }
}

fn agent_failed(end: &End) -> StatusError {
    StatusError {
        code: "agent_failed".to_owned(),
        refers_to: String::new(),
        message: end.message.clone(),
        suggestions: vec!["attach again".to_owned()],
    }
}

fn lease_of(new: &RegisterAgent) -> Option<&str> {
    match &new.linger {
        lr_protocol::Linger::Lease(lease) => Some(lease),
        lr_protocol::Linger::UntilDone | lr_protocol::Linger::UntilDetached => None,
    }
}

fn check(new: &RegisterAgent) -> Answer<()> {
    if new.protocol_version == 0 || new.protocol_version + 1 < PROTOCOL_VERSION {
        return Err(Refusal::new("protocol_mismatch", "the agent is too old for this server")
            .detail(format!(
                "it speaks protocol version {}, this server {PROTOCOL_VERSION} and the one before",
                new.protocol_version
            ))
            .suggest("use the `lr` that came with this server"));
    }
    for (what, text) in [
        ("name", &new.name),
        ("host", &new.host),
        ("agent_version", &new.agent_version),
        ("process_id", &new.process.process_id),
        ("comm", &new.process.comm),
        ("build_id", &new.process.build_id),
        ("container", &new.process.container),
    ] {
        check_text(what, text, MAX_SHORT_TEXT)?;
    }
    check_text("executable", &new.process.executable, 4096)?;
    check_tags(&new.tags)?;
    check_linger(&new.linger)
}
