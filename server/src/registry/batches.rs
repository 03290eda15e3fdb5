use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use lr_protocol::{ActionStatus, AgentState, Batch, LiveEvent, LiveLoss};

use super::Registry;
use super::effects::{Effects, Scope, Told};
use super::wanted::unknown_session;
use crate::clock::rfc3339;
use crate::problem::Answer;

/// What the rows of a batch carry beside what is in it.
#[derive(Clone, Debug)]
pub(crate) struct BatchContext {
    pub(crate) agent_id: Arc<str>,
    pub(crate) session: Arc<str>,
    pub(crate) process_id: String,
    pub(crate) pid: u32,
}

/// Whom events concern, by the action's id.
pub(super) type Scopes = HashMap<String, Arc<Scope>>;

impl Registry {
    /// Whether the batch is of a session that is known; a sign of life.
    pub(crate) fn accept_batch(
        &mut self,
        agent_id: &str,
        session: &str,
        now_us: i64,
    ) -> Answer<BatchContext> {
        let agent = self
            .agents
            .get_mut(agent_id)
            .filter(|agent| agent.record.session == session)
            .ok_or_else(unknown_session)?;
        agent.hear(now_us);
        Ok(BatchContext {
            agent_id: agent_id.into(),
            session: session.into(),
            process_id: agent.record.process.process_id.clone(),
            pid: agent.record.process.pid,
        })
    }

    /// Names of the actions that a batch tells of; an id where there is no name.
    pub(crate) fn action_names(&self, batch: &Batch) -> HashMap<String, String> {
        let coverage = batch.coverage.iter().map(|row| row.action_id.as_str());
        let overhead = batch.overhead.iter().map(|row| row.action_id.as_str());
        let losses = batch
            .losses
            .iter()
            .filter_map(|loss| loss.action_id.as_deref());
        let counts = coverage.chain(overhead).chain(losses);
        let mut names = HashMap::new();
        for id in event_actions(batch).chain(counts) {
            if !names.contains_key(id) {
                let name = self.actions.get(id).map_or(id, |action| action.name());
                names.insert(id.to_owned(), name.to_owned());
            }
        }
        names
    }

    /// Whom the events of a batch concern, by action.
    pub(crate) fn event_scopes(&self, context: &BatchContext, batch: &Batch) -> Scopes {
        let mut scopes = Scopes::new();
        for id in event_actions(batch) {
            if !scopes.contains_key(id) {
                let scope = self.scope(&context.agent_id, Some(id));
                scopes.insert(id.to_owned(), scope);
            }
        }
        scopes
    }

    /// Takes in what a batch says of actions and of the agent's end, and tells it; for what was
    /// seen, see [`super::events_of`].
    pub(crate) fn apply_batch(
        &mut self,
        context: &BatchContext,
        batch: &Batch,
        now_us: i64,
    ) -> Effects {
        let agent_id: &str = &context.agent_id;
        let mut effects = Effects::default();
        for loss in &batch.losses {
            effects.events.push(Told {
                event: LiveEvent::Loss(LiveLoss {
                    ts: rfc3339(loss.ts),
                    agent: agent_id.to_owned(),
                    process: context.process_id.clone(),
                    action: loss.action_id.clone(),
                    reason: loss.reason.clone(),
                    count: loss.count,
                }),
                scope: self.scope(agent_id, loss.action_id.as_deref()),
                number: None,
            });
        }
        self.count_events(agent_id, batch);
        for status in &batch.statuses {
            self.apply_status(agent_id, status, &mut effects);
        }
        if let Some(end) = &batch.end {
            effects.append(self.end_agent(agent_id, end.clone(), now_us));
        }
        if !batch.statuses.is_empty() || batch.end.is_some() {
            effects.append(self.settle_agents(Instant::now(), now_us));
        }
        effects
    }

    fn count_events(&mut self, agent_id: &str, batch: &Batch) {
        let logs = batch.logs.iter();
        let logs = logs.map(|log| (log.action_id.as_str(), log.action_version, 1));
        let snapshots = batch.snapshots.iter();
        let snapshots = snapshots.map(|event| (event.action_id.as_str(), event.action_version, 1));
        let metrics = batch.metrics.iter();
        let metrics = metrics.map(|row| (row.action_id.as_str(), row.action_version, row.count));
        let mut counts: BTreeMap<(&str, u32), u64> = BTreeMap::new();
        for (action_id, version, count) in logs.chain(snapshots).chain(metrics) {
            let known = counts.entry((action_id, version)).or_default();
            *known = known.saturating_add(count);
        }
        for ((action_id, version), count) in counts {
            let action = self.actions.get_mut(action_id);
            if let Some(action) = action.filter(|action| action.action.version == version) {
                let stored = action.stored.entry(agent_id.to_owned()).or_default();
                *stored = stored.saturating_add(count);
            }
        }
    }

    fn apply_status(&mut self, agent_id: &str, new: &ActionStatus, effects: &mut Effects) {
        // An agent speaks for itself only, whatever its status says.
        let live = self
            .agents
            .get(agent_id)
            .is_some_and(|agent| agent.record.state != AgentState::Ended);
        let Some(action) = self.actions.get_mut(&new.action_id).filter(|_| live) else {
            return;
        };
        let version = action.action.version;
        // A late word about what was edited since says nothing of what there is now.
        let Some(old) = action
            .status_mut(agent_id)
            .filter(|_| new.action_version == version)
        else {
            return;
        };
        let mut new = new.clone();
        agent_id.clone_into(&mut new.agent_id);
        if old.state.is_final() {
            // What is over stays over; the last counts are still news.
            new.state = old.state;
            new.error.clone_from(&old.error);
        }
        let told = old.state != new.state
            || old.bound != new.bound
            || old.error != new.error
            || old.warnings != new.warnings;
        let changed = *old != new;
        *old = new;
        let action_id = action.action.id.clone();
        if changed {
            effects.records.push(action.record());
        }
        if told {
            effects
                .events
                .extend(self.state_event(&action_id, agent_id));
        }
    }
}

/// The actions of the events of a batch, as often as there are events.
fn event_actions(batch: &Batch) -> impl Iterator<Item = &str> {
    let logs = batch.logs.iter().map(|log| log.action_id.as_str());
    let snapshots = batch.snapshots.iter().map(|event| event.action_id.as_str());
    let metrics = batch.metrics.iter().map(|row| row.action_id.as_str());
    logs.chain(snapshots).chain(metrics)
}
