//! Versions of an action, and what switches it on and off.

use lr_protocol::{ActionKind, DuplicateAction, EditAction};

use super::*;
use crate::problem::Answer;

impl World {
    fn of_kind(&mut self, agent: &str, kind: &str, more: serde_json::Value) -> String {
        let mut new = json!({
            "kind": kind, "location": "a.c:1", "template": "x", "expression": "x",
            "target": {"agent": agent},
        });
        for (key, value) in more.as_object().unwrap() {
            new[key] = value.clone();
        }
        self.create(serde_json::from_value(new).unwrap()).unwrap()
    }

    fn edit(&mut self, id: &str, version: u32, template: &str) -> Answer<u32> {
        let mut spec = self.registry.action(id).unwrap().spec;
        if let ActionKind::Log(log) = &mut spec.kind {
            template.clone_into(&mut log.template);
        }
        let edit = EditAction { version, spec };
        let edited = self.registry.edit_action(id, edit, self.now, self.now_us);
        edited.map(|(action, _)| action.version)
    }

    fn retake(&mut self, id: &str) -> Answer<u32> {
        let retaken = self.registry.retake_action(id, self.now, self.now_us);
        retaken.map(|(action, _)| action.version)
    }

    fn set_enabled(&mut self, id: &str, enabled: bool) -> Answer<u32> {
        let set = self
            .registry
            .set_enabled(id, enabled, self.now, self.now_us);
        set.map(|(action, _)| action.version)
    }

    /// Version, whether it is enabled, and the hits that are left.
    fn wanted_of(&mut self, agent: &str) -> Vec<(u32, bool, Option<u64>)> {
        let (wanted, _) = self.registry.wanted(agent, self.now, self.now_us).unwrap();
        let actions = wanted.actions.iter();
        actions
            .map(|action| (action.version, action.enabled, action.hits_left))
            .collect()
    }

    fn told(&self, effects: &Effects) -> Vec<&'static str> {
        effects.records.iter().map(|record| record.table).collect()
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Answer<T>, code: &str) {
    assert_eq!(answer.unwrap_err().0.code, code);
}

#[test]
fn an_edit_is_a_version_from_the_beginning() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let action = world.action(on(&agent), None);
    world.report(&agent, &action, State::Hit, 4);
    assert_eq!(world.edit(&action, 1, "y").unwrap(), 2);
    assert_eq!(world.state(&action), State::Submitted);
    assert_eq!(world.wanted_of(&agent), [(2, true, Some(10))]);
    // What the agent still says of the first version is late.
    world.report(&agent, &action, State::Done, 10);
    world.report_version(&agent, &action, 7, State::Done, 10);
    assert_eq!(world.state(&action), State::Delivered);
    world.report_version(&agent, &action, 2, State::Hit, 1);
    assert_eq!(world.state(&action), State::Hit);
}

#[test]
fn every_version_is_kept() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let action = world.action(on(&agent), None);
    let spec = world.registry.action(&action).unwrap().spec;
    let edit = EditAction { version: 1, spec };
    let (_, effects) = world
        .registry
        .edit_action(&action, edit, world.now, world.now_us)
        .unwrap();
    assert_eq!(world.told(&effects), ["actions", "action_versions"]);
    assert_eq!(effects.records[1].id, format!("{action}/2"));
}

#[test]
fn of_two_edits_of_one_version_the_second_is_refused() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let action = world.action(on(&agent), None);
    assert_eq!(world.edit(&action, 1, "first").unwrap(), 2);
    refused(world.edit(&action, 1, "second"), "version_conflict");
    let ActionKind::Log(log) = world.registry.action(&action).unwrap().spec.kind else {
        panic!()
    };
    assert_eq!(log.template, "first");
    refused(world.retake("nobody"), "not_found");
    refused(world.set_enabled("nobody", true), "not_found");
}

#[test]
fn an_edit_keeps_the_kind_and_is_checked_like_a_new_action() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let action = world.action(on(&agent), None);
    let counter = world.of_kind(&agent, "counter", json!({}));
    let spec = world.registry.action(&counter).unwrap().spec;
    let edit = EditAction { version: 1, spec };
    let answer = world
        .registry
        .edit_action(&action, edit, world.now, world.now_us);
    refused(answer.map(|_| ()), "bad_request");
    refused(world.edit(&action, 1, &"x".repeat(20_000)), "bad_request");
}

#[test]
fn what_is_done_or_expired_can_be_taken_again() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    // Something for which the agent stays.
    world.of_kind(&agent, "counter", json!({"expires_in_s": 86_400}));
    let anchor = (1, true, None);
    let snapshot = world.of_kind(&agent, "snapshot", json!({}));
    let check = |world: &mut World, version: Option<u32>| {
        let mut expected = vec![anchor];
        expected.extend(version.map(|version| (version, true, Some(1))));
        let mut found = world.wanted_of(&agent);
        found.sort();
        assert_eq!(found, expected);
    };
    check(&mut world, Some(1));
    world.report(&agent, &snapshot, State::Done, 1);
    check(&mut world, None);
    assert_eq!(world.retake(&snapshot).unwrap(), 2);
    check(&mut world, Some(2));
    world.pass(3601);
    assert_eq!(world.state(&snapshot), State::Expired);
    check(&mut world, None);
    assert_eq!(world.retake(&snapshot).unwrap(), 3);
    world.pass(3599);
    check(&mut world, Some(3));
}

#[test]
fn what_was_removed_stays_removed() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    let action = world.action(on(&agent), None);
    world
        .registry
        .remove_action(&action, world.now, world.now_us)
        .unwrap();
    refused(world.retake(&action), "action_ended");
    refused(world.edit(&action, 1, "y"), "action_ended");
    refused(world.set_enabled(&action, true), "action_ended");
    assert_eq!(world.wanted_of(&agent), []);
    let copied = world.registry.duplicate_action(
        &action,
        DuplicateAction::default(),
        "me".to_owned(),
        world.now,
        world.now_us,
    );
    assert_ne!(copied.unwrap().0.id, action);
    assert_eq!(world.wanted_of(&agent), [(1, true, Some(10))]);
}

#[test]
fn what_is_disabled_stays_wanted_and_keeps_its_version() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let action = world.action(on(&agent), None);
    let revision = *world.registry.agents[&agent].revision.borrow();
    assert_eq!(world.set_enabled(&action, false).unwrap(), 1);
    assert_ne!(*world.registry.agents[&agent].revision.borrow(), revision);
    assert_eq!(world.wanted_of(&agent), [(1, false, Some(10))]);
    world.report(&agent, &action, State::Disabled, 2);
    assert_eq!(world.set_enabled(&action, true).unwrap(), 1);
    assert_eq!(world.wanted_of(&agent), [(1, true, Some(10))]);
    // An agent that disabled it by itself hears of it as a new version.
    assert_eq!(world.set_enabled(&action, true).unwrap(), 2);
    world.report_version(&agent, &action, 2, State::Done, 10);
    refused(world.set_enabled(&action, true), "action_ended");
}

#[test]
fn a_disabled_action_expires_all_the_same() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    let action = world.action(on(&agent), None);
    world.set_enabled(&action, false).unwrap();
    world.pass(3601);
    assert_eq!(world.state(&action), State::Expired);
}

#[test]
fn an_edit_of_an_action_whose_agent_has_ended_is_refused() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let action = world.action(on(&agent), None);
    world.end(&agent, EndReason::Exited);
    refused(world.retake(&action), "process_gone");
    assert_eq!(world.state(&action), State::Gone);
}

#[test]
fn all_are_stopped_at_once() {
    let mut world = World::new();
    let agent = world.agent(Linger::UntilDone);
    let first = world.action(on(&agent), Some("l"));
    let second = world.action(ActionTarget::Tag("env=test".to_owned()), None);
    world.wanted(&agent);
    let (stopped, _) = world.registry.stop_all(world.now, world.now_us);
    let mut expected = [first, second];
    expected.sort();
    assert_eq!(stopped.actions, expected);
    assert_eq!(world.wanted_of(&agent), []);
    let (again, effects) = world.registry.stop_all(world.now, world.now_us);
    assert!(again.actions.len() <= 2 && effects.events.is_empty());
}

#[test]
fn expiry_does_not_follow_a_clock_that_jumps() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    let action = world.action(on(&agent), None);
    // A year forward, then back before the action was made.
    world.now_us += 365 * 86_400 * 1_000_000;
    world.pass(1);
    assert_eq!(world.wanted_of(&agent).len(), 1);
    world.now_us = 0;
    world.pass(3600);
    assert_eq!(world.state(&action), State::Expired);
}

#[test]
fn an_action_is_not_wanted_after_its_time_even_before_the_next_tick() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    world.action(on(&agent), None);
    world.now += Duration::from_secs(3600);
    assert_eq!(world.wanted_of(&agent), []);
}

#[test]
fn a_restored_action_has_no_more_time_than_it_was_given() {
    let mut world = World::new();
    let agent = world.agent(Linger::Lease("l".to_owned()));
    let action = world.action(on(&agent), None);
    let json = world.registry.actions[&action].record().json;
    let agents = || vec![world.registry.agents[&agent].record.clone()];
    // The clock went back by a day while the server was away, or forward.
    for (now_us, after) in [(-86_400_000_000, 3600), (86_400_000_000, 0)] {
        let record = serde_json::from_str(&json).unwrap();
        let mut registry = Registry::restore(agents(), vec![record], world.now, now_us);
        registry.tick(world.now + Duration::from_secs(after), now_us);
        let state = registry.action(&action).unwrap().statuses[0].state;
        assert_eq!(state, State::Expired);
    }
}
