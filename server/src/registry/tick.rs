use std::time::{Duration, Instant};

use lr_protocol::AgentState;

use super::Registry;
use super::agents::lost_agent;
use super::effects::Effects;

/// How long an agent may be silent before it is said to be.
const SILENT_AFTER: Duration = Duration::from_secs(60);
/// Final actions and ended agents that stay in memory; the store keeps all.
const KEPT_FINAL: usize = 1000;

impl Registry {
    /// What time brings: leases that nobody came back for, expiry, silence. Called several times
    /// a second.
    pub(crate) fn tick(&mut self, now: Instant, now_us: i64) -> Effects {
        let mut effects = Effects::default();
        for lease in self.leases.overdue(now) {
            effects.append(self.remove_lease_actions(&lease, now_us));
        }
        let expired: Vec<String> = self
            .actions
            .values()
            .filter(|record| record.is_wanted() && record.is_overdue(now))
            .map(|record| record.action.id.clone())
            .collect();
        for id in expired {
            effects.append(self.expire_action(&id, now_us));
        }
        for agent in self
            .agents
            .values_mut()
            .filter(|agent| agent.record.is_live())
        {
            let silent = now.saturating_duration_since(agent.heard) > SILENT_AFTER;
            if silent && agent.record.state != AgentState::Silent {
                agent.record.state = AgentState::Silent;
                effects.records.push(agent.record.record());
            }
        }
        effects.append(self.settle_agents(now, now_us));
        self.forget();
        effects
    }

    /// Ends the agents of this host whose process is gone. An agent that ends as it should says
    /// so first; what it says is stored before its process ends.
    pub(crate) fn bury_dead_agents(&mut self, now_us: i64) -> Effects {
        let dead: Vec<_> = self
            .agents
            .values()
            .map(|agent| &agent.record)
            .filter(|agent| agent.is_live() && agent.local_start.is_some())
            .filter(|agent| crate::proc::start_time(agent.agent_pid) != agent.local_start)
            .cloned()
            .collect();
        let mut effects = Effects::default();
        for agent in dead {
            effects.append(self.end_agent(&agent.id, lost_agent(&agent, now_us), now_us));
        }
        effects
    }

    /// The records of all live agents, for `last_seen`.
    pub(crate) fn live_records(&self) -> Effects {
        let agents = self.agents.values().filter(|agent| agent.record.is_live());
        Effects {
            records: agents.map(|agent| agent.record.record()).collect(),
            events: Vec::new(),
        }
    }

    fn forget(&mut self) {
        if self.actions.len() > 2 * KEPT_FINAL {
            let mut done: Vec<(i64, String)> = self
                .actions
                .values()
                .filter(|record| record.is_final())
                .map(|record| (record.action.created_at, record.action.id.clone()))
                .collect();
            done.sort();
            let excess = done.len().saturating_sub(KEPT_FINAL);
            for (_, id) in done.drain(..excess) {
                self.actions.remove(&id);
            }
        }
        if self.agents.len() > 2 * KEPT_FINAL {
            let mut ended: Vec<(i64, String)> = self
                .agents
                .values()
                .filter(|agent| !agent.record.is_live())
                .map(|agent| (agent.record.last_seen, agent.record.id.clone()))
                .collect();
            ended.sort();
            let excess = ended.len().saturating_sub(KEPT_FINAL);
            for (_, id) in ended.drain(..excess) {
                self.agents.remove(&id);
            }
        }
    }
}
