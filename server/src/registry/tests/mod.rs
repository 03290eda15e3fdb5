use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lr_protocol::{
    ActionStatus, ActionTarget, AgentState, Batch, Counts, End, EndReason, Linger, LiveEvent,
    NewAction, ProcessInfo, RegisterAgent, State,
};
use serde_json::json;

use super::*;

mod edits;

/// A registry whose clock is ours.
struct World {
    registry: Registry,
    now: Instant,
    now_us: i64,
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        World {
            registry: Registry::restore(Vec::new(), Vec::new(), now, 1_000_000),
            now,
            now_us: 1_000_000,
        }
    }

    fn pass(&mut self, seconds: u64) -> Effects {
        self.now += Duration::from_secs(seconds);
        self.now_us += i64::try_from(seconds).unwrap() * 1_000_000;
        self.registry.tick(self.now, self.now_us)
    }

    fn agent(&mut self, linger: Linger) -> String {
        self.register(linger, 7).unwrap().agent_id
    }

    fn register(
        &mut self,
        linger: Linger,
        agent_pid: u32,
    ) -> crate::problem::Answer<lr_protocol::Registered> {
        let new = RegisterAgent {
            protocol_version: 1,
            agent_version: "0.1.0".to_owned(),
            name: "orders".to_owned(),
            tags: BTreeMap::from([("env".to_owned(), "test".to_owned())]),
            host: "here".to_owned(),
            agent_pid,
            agent_uid: 0,
            process: ProcessInfo {
                process_id: "42-1".to_owned(),
                pid: 42,
                comm: "orders".to_owned(),
                executable: "/orders".to_owned(),
                build_id: String::new(),
                uid: 0,
                start_time: 0,
                container: String::new(),
            },
            linger,
        };
        let registered = self.registry.register(new, None, self.now, self.now_us);
        registered.map(|(registered, _)| registered)
    }

    fn action(&mut self, target: ActionTarget, lease: Option<&str>) -> String {
        let mut new: NewAction = serde_json::from_value(json!({
            "kind": "log", "location": "a.c:1", "template": "x", "target": {"agent": ""}, "max_hits": 10,
        }))
        .unwrap();
        new.target = target;
        new.lease = lease.map(str::to_owned);
        self.create(new).unwrap()
    }

    fn create(&mut self, new: NewAction) -> crate::problem::Answer<String> {
        let created = self
            .registry
            .create_action(new, "me".to_owned(), self.now, self.now_us);
        created.map(|(action, _)| action.id)
    }

    fn wanted(&mut self, agent: &str) -> (Vec<String>, bool) {
        let (wanted, _) = self.registry.wanted(agent, self.now, self.now_us).unwrap();
        let actions = wanted.actions.into_iter().map(|action| action.action_id);
        (actions.collect(), wanted.detach)
    }

    fn report(&mut self, agent: &str, action: &str, state: State, kept: u64) -> Effects {
        self.report_version(agent, action, 1, state, kept)
    }

    fn report_version(
        &mut self,
        agent: &str,
        action: &str,
        action_version: u32,
        state: State,
        kept: u64,
    ) -> Effects {
        self.batch(agent, |batch| {
            batch.statuses.push(ActionStatus {
                agent_id: agent.to_owned(),
                action_id: action.to_owned(),
                action_version,
                state,
                updated_at: 0,
                counts: Counts {
                    hits: kept,
                    kept,
                    ..Counts::default()
                },
                bound: Vec::new(),
                warnings: Vec::new(),
                error: None,
                last_error: None,
                paused_until: None,
                passes_per_second: None,
            });
        })
    }

    fn end(&mut self, agent: &str, reason: EndReason) -> Effects {
        let ts = self.now_us;
        self.batch(agent, |batch| {
            batch.end = Some(End {
                ts,
                reason,
                message: "over".to_owned(),
                restored: 1,
            });
        })
    }

    fn batch(&mut self, agent: &str, fill: impl FnOnce(&mut Batch)) -> Effects {
        let session = self.registry.agents[agent].record.session.clone();
        let context = self
            .registry
            .accept_batch(agent, &session, self.now_us)
            .unwrap();
        let mut batch: Batch =
            serde_json::from_value(json!({"session": session, "sequence": 1, "sent_at": 0}))
                .unwrap();
        fill(&mut batch);
        self.registry.apply_batch(&context, &batch, self.now_us)
    }

    fn state(&self, action: &str) -> State {
        self.registry.action(action).unwrap().statuses[0].state
    }
}

fn on(agent: &str) -> ActionTarget {
    ActionTarget::Agent(agent.to_owned())
}

#[test]
fn an_action_is_wanted_until_its_lease_ends() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    let action = world.action(on(&agent), Some("l"));
    assert_eq!(world.wanted(&agent), (vec![action.clone()], false));
    assert_eq!(world.state(&action), State::Delivered);

    world.registry.release_lease("l", world.now, world.now_us);
    assert_eq!(world.wanted(&agent), (vec![], true));
    assert_eq!(
        world.state(&action),
        State::Delivered,
        "the agent has not confirmed yet"
    );
    world.report(&agent, &action, State::Removed, 0);
    assert_eq!(world.state(&action), State::Removed);
}

#[test]
fn a_lease_survives_a_short_absence_but_not_a_long_one() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    let shared = SharedRegistry::new(world.registry);
    let hold = LeaseHold::new(shared.clone(), "l".to_owned());
    let (now, now_us) = (Instant::now(), 1_000_000);
    shared.lock().tick(now + Duration::from_secs(100), now_us);
    assert!(
        !shared.lock().wanted(&agent, now, now_us).unwrap().0.detach,
        "the stream is open"
    );
    drop(hold);
    shared
        .lock()
        .tick(Instant::now() + Duration::from_secs(2), now_us);
    assert!(
        !shared.lock().wanted(&agent, now, now_us).unwrap().0.detach,
        "it may come back"
    );
    shared
        .lock()
        .tick(Instant::now() + Duration::from_secs(4), now_us);
    assert!(shared.lock().wanted(&agent, now, now_us).unwrap().0.detach);
}

#[test]
fn a_lease_that_is_never_opened_ends() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    world.pass(9);
    assert!(!world.wanted(&agent).1);
    world.pass(2);
    assert!(world.wanted(&agent).1);
}

#[test]
fn an_agent_stays_for_the_action_of_another_client() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("first".to_owned()));
    let other = world.action(on(&agent), None);
    world
        .registry
        .release_lease("first", world.now, world.now_us);
    assert_eq!(world.wanted(&agent), (vec![other.clone()], false));
    world.report(&agent, &other, State::Done, 10);
    assert_eq!(world.wanted(&agent), (vec![], true));
}

#[test]
fn an_agent_in_the_background_goes_with_its_last_action() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    world.pass(20);
    assert!(!world.wanted(&agent).1, "it waits for its first action");
    let action = world.action(on(&agent), None);
    world.report(&agent, &action, State::Hit, 1);
    assert!(!world.wanted(&agent).1);
    world
        .registry
        .remove_action(&action, world.now, world.now_us)
        .unwrap();
    assert!(world.wanted(&agent).1);
}

#[test]
fn an_agent_without_actions_of_its_own_stays_for_those_of_others() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDetached);
    let action = world.action(on(&agent), None);
    world.report(&agent, &action, State::Done, 1);
    world.pass(20);
    assert_eq!(world.wanted(&agent), (vec![], false));
    world
        .registry
        .request_detach(&agent, world.now, world.now_us)
        .unwrap();
    assert!(world.wanted(&agent).1);
}

#[test]
fn detach_is_detach_whoever_wants_it_to_stay() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    world.action(on(&agent), None);
    world
        .registry
        .request_detach(&agent, world.now, world.now_us)
        .unwrap();
    assert!(world.wanted(&agent).1);
    let refused = world.registry.create_action(
        serde_json::from_value(json!({
            "kind": "log", "location": "a.c:1", "template": "x", "target": {"agent": agent},
        }))
        .unwrap(),
        "me".to_owned(),
        world.now,
        world.now_us,
    );
    assert_eq!(refused.unwrap_err().0.code, "agent_detaching");
}

#[test]
fn actions_expire_whatever_the_agent_does() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let action = world.action(on(&agent), None);
    world.report(&agent, &action, State::Bound, 0);
    world.pass(3599);
    assert_eq!(world.state(&action), State::Bound);
    let effects = world.pass(2);
    assert_eq!(world.state(&action), State::Expired);
    assert!(
        matches!(&effects.events[0].event, LiveEvent::State(state) if state.state == State::Expired)
    );
    assert_eq!(world.wanted(&agent), (vec![], true));
}

#[test]
fn what_is_over_stays_over() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let action = world.action(on(&agent), None);
    world.report(&agent, &action, State::Done, 10);
    world.report(&agent, &action, State::Hit, 11);
    assert_eq!(world.state(&action), State::Done);
}

#[test]
fn the_end_of_a_process_ends_its_actions_and_is_told_last() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    let kept = world.action(on(&agent), Some("l"));
    let effects = world.end(&agent, EndReason::Exited);
    assert_eq!(world.state(&kept), State::Gone);
    let last = effects.events.last().unwrap();
    assert!(matches!(last.event, LiveEvent::End(_)));
    assert_eq!(last.scope.leases, ["l"]);
    assert_eq!(world.registry.list_agents(false), []);
    assert_eq!(world.registry.list_actions(false), []);
    assert_eq!(world.registry.list_agents(true)[0].state, AgentState::Ended);
}

#[test]
fn a_tag_reaches_agents_that_come_later() {
    let mut world = World::new();
    let action = world.action(ActionTarget::Tag("env=test".to_owned()), None);
    let other = world.action(ActionTarget::Tag("env=live".to_owned()), None);
    let agent = world.agent(Linger::UntilDone);
    assert_eq!(world.wanted(&agent).0, [action]);
    assert!(world.registry.action(&other).unwrap().statuses.is_empty());
}

#[test]
fn a_tag_gives_no_agent_what_is_over_even_before_the_next_tick() {
    let mut world = World::new();
    let action = world.action(ActionTarget::Tag("env=test".to_owned()), None);
    world.now += Duration::from_secs(3600);
    let agent = world.agent(Linger::UntilDone);
    assert!(world.wanted(&agent).0.is_empty());
    assert!(world.registry.action(&action).unwrap().statuses.is_empty());
}

#[test]
fn a_second_agent_of_a_process_is_refused_until_the_first_is_silent() {
    let mut world = World::new();
    let first = world.agent(Linger::UntilDone);
    let refused = world.register(Linger::UntilDone, 8).unwrap_err();
    assert_eq!(refused.0.code, "already_attached");
    let again = world.register(Linger::UntilDone, 7).unwrap();
    assert_eq!(again.agent_id, first, "the same agent keeps its id");
    world.pass(61);
    let second = world.register(Linger::UntilDone, 8).unwrap();
    assert_ne!(second.agent_id, first);
}

#[test]
fn a_session_that_is_not_known_is_refused() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    for (id, session) in [("nobody", "x"), (agent.as_str(), "x")] {
        let refused = world
            .registry
            .accept_batch(id, session, world.now_us)
            .unwrap_err();
        assert_eq!(refused.0.code, "unknown_session");
    }
    assert_eq!(
        world
            .registry
            .wanted("nobody", world.now, world.now_us)
            .unwrap_err()
            .0
            .code,
        "unknown_session"
    );
}

#[test]
fn silence_is_noticed_and_ends_with_a_word() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    world.pass(61);
    assert_eq!(
        world.registry.list_agents(false)[0].state,
        AgentState::Silent
    );
    world.wanted(&agent);
    assert_eq!(
        world.registry.list_agents(false)[0].state,
        AgentState::Attached
    );
}

#[test]
fn everything_comes_back_after_a_restart() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    let action = world.action(on(&agent), Some("l"));
    world.report(&agent, &action, State::Hit, 3);
    let stored = |record: &Record| record.json.clone();
    let agents = vec![
        serde_json::from_str(&stored(&world.registry.agents[&agent].record.record())).unwrap(),
    ];
    let mut record: ActionRecord =
        serde_json::from_str(&stored(&world.registry.actions[&action].record())).unwrap();
    record.restore_deadline(world.now, world.now_us);
    assert_eq!(record, world.registry.actions[&action]);
    let before = world.wanted(&agent);
    world.registry = Registry::restore(agents, vec![record], world.now, world.now_us + 5);
    assert_eq!(world.wanted(&agent), before);
    world.pass(11);
    assert!(
        world.wanted(&agent).1,
        "the client never came back for its lease"
    );
}

#[test]
fn bad_actions_are_refused() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let mut check = |change: serde_json::Value, code: &str| {
        let mut new = json!({
            "kind": "log", "location": "a.c:1", "template": "x", "target": {"agent": agent},
        });
        for (key, value) in change.as_object().unwrap() {
            new[key] = value.clone();
        }
        // What lacks a part is refused when the body is read.
        let refused = match serde_json::from_value(new) {
            Ok(new) => world.create(new).unwrap_err().0.code,
            Err(_) => "bad_request".to_owned(),
        };
        assert_eq!(refused, code, "{change}");
    };
    check(json!({"target": {"agent": "nobody"}}), "not_found");
    check(json!({"target": {"tag": "env"}}), "bad_request");
    check(json!({"kind": "teleport"}), "bad_request");
    check(json!({"name": "x".repeat(257)}), "bad_request");
    check(json!({"name": "a\u{0}b"}), "bad_request");
    check(json!({"expires_in_s": 86_401}), "bad_request");
    check(json!({"expires_in_s": 0}), "bad_request");
    check(json!({"max_hits": 0}), "bad_request");
    check(json!({"rate": -1.0}), "bad_request");
    check(json!({"location": " "}), "bad_location");
    check(json!({"template": "x".repeat(20_000)}), "bad_request");
    check(json!({"condition": "x".repeat(1 << 20)}), "bad_request");
    check(json!({"kind": "metric"}), "bad_request");
    check(
        json!({"kind": "metric", "expression": " "}),
        "bad_expression",
    );
    check(
        json!({"kind": "metric", "expression": "x", "unit": "x".repeat(300)}),
        "bad_request",
    );
    check(json!({"kind": "counter", "by": ""}), "bad_expression");
    check(json!({"kind": "counter", "location": ""}), "bad_location");
    check(
        json!({"kind": "snapshot", "watches": ["x".repeat(20_000)]}),
        "bad_request",
    );
    check(
        json!({"kind": "snapshot", "watches": vec!["x"; 101]}),
        "bad_request",
    );
    check(json!({"kind": "snapshot", "max_hits": 51}), "bad_request");
}
