//! However an attachment ends, every byte is back and the target goes on.

use std::time::{Duration, Instant};

use lr_fixtures::{Fixture, Target, location, text_differences, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::World;

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").opt('2').build(), ["4", "500"])
}

fn process_line() -> String {
    location("orders.c", "process")
}

fn assert_planted(target: &Target) {
    let differences = text_differences(target.pid()).unwrap();
    assert!(
        !differences.is_empty() && differences.iter().all(|byte| byte.in_memory == 0xcc),
        "{differences:?}"
    );
    assert_ne!(target.tracer(), 0);
}

#[test]
fn after_its_hits() {
    let world = World::new();
    let target = orders();
    let attached = world.attach(&target, &process_line(), "{o.id}", &["--hits", "5"]);
    attached.ended().done();
    target.assert_unharmed();
    world.until_no_agents();
}

#[test]
fn after_its_time() {
    let world = World::new();
    let target = orders();
    let begun = Instant::now();
    let attached = world.attach(
        &target,
        &process_line(),
        "{o.id}",
        &["--for", "2s", "--ignore-quota"],
    );
    attached.ended().done();
    assert!(begun.elapsed() >= Duration::from_secs(2));
    target.assert_unharmed();
    world.until_no_agents();
    // Finding the line is not part of that time.
    let observed = world.sql_number("SELECT sum(observed_ms) FROM coverage");
    assert!(observed >= 2000, "observed for {observed} ms");
}

#[test]
fn by_ctrl_c() {
    let world = World::new();
    let target = orders();
    let mut attached = world.attach(&target, &process_line(), "{o.id}", &["--ignore-quota"]);
    attached.logs(3);
    assert_planted(&target);
    attached.interrupted().done();
    target.assert_unharmed();
}

#[test]
fn by_sigterm_to_the_client() {
    let world = World::new();
    let target = orders();
    let mut attached = world.attach(&target, &process_line(), "{o.id}", &[]);
    attached.logs(3);
    attached.signal(Signal::SIGTERM);
    attached.ended();
    target.assert_unharmed();
}

#[test]
fn by_sigkill_of_the_client() {
    let world = World::new();
    let target = orders();
    let mut attached = world.attach(&target, &process_line(), "{o.id}", &[]);
    attached.logs(3);
    attached.signal(Signal::SIGKILL);
    attached.ended();
    // The lease runs out.
    world.until_no_agents();
    target.assert_unharmed();
}

/// Kills the process with SIGKILL and waits until the target is as it was.
fn check_killed(which: impl FnOnce(&World, &Target) -> u32) {
    let world = World::new();
    let target = orders();
    let mut attached = world.attach(&target, &process_line(), "{o.id}", &["--ignore-quota"]);
    attached.logs(20);
    assert_planted(&target);
    let victim = which(&world, &target);
    kill(Pid::from_raw(victim.try_into().unwrap()), Signal::SIGKILL).unwrap();
    wait_until("the text to be the file's", || {
        let differences = text_differences(target.pid()).expect("the target lives");
        differences.is_empty().then_some(())
    });
    target.assert_unharmed();
}

#[test]
fn by_sigkill_of_the_agent() {
    check_killed(|world, target| {
        let agent = world.agent_of(target);
        agent["agent_pid"].as_u64().unwrap().try_into().unwrap()
    });
}

#[test]
fn by_sigterm_to_the_agent() {
    let world = World::new();
    let target = orders();
    let mut attached = world.attach(&target, &process_line(), "{o.id}", &[]);
    attached.logs(3);
    let agent = world.agent_of(&target)["agent_pid"].as_i64().unwrap();
    kill(Pid::from_raw(agent.try_into().unwrap()), Signal::SIGTERM).unwrap();
    let end = attached.json_until(|value| value["type"] == "end");
    assert_eq!(end["reason"], "detached", "{end}");
    target.assert_unharmed();
}

#[test]
fn the_tracer_is_not_the_agent() {
    let world = World::new();
    let target = orders();
    let mut attached = world.attach(&target, &process_line(), "{o.id}", &[]);
    attached.logs(1);
    let agent = world.agent_of(&target)["agent_pid"].as_u64().unwrap();
    // What traces is a thread of the tracer process.
    let status = std::fs::read_to_string(format!("/proc/{}/status", target.tracer())).unwrap();
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    let tracer: u64 = process.unwrap().trim().parse().unwrap();
    assert_ne!(tracer, agent);
    let session = |pid: u64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // Field 6, counted behind the name in parentheses.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(3).unwrap().to_owned()
    };
    assert_eq!(session(tracer), tracer.to_string(), "a session of its own");
    assert_ne!(session(tracer), session(agent));
    attached.interrupted().done();
}

#[test]
fn the_target_exits() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("exiter.c").build(), [""; 0]);
    let line = location("exiter.c", "tick");
    let mut attached = world.attach(&target, &line, "n={n}", &[]);
    attached.logs(3);
    target.send("");
    assert_eq!(target.ended().code(), Some(7), "its own exit status");
    let end = attached.json_until(|value| value["type"] == "end");
    assert_eq!(end["reason"], "exited", "{end}");
    assert_eq!(end["pid"], target.pid());
    let ended = attached.ended().status(3);
    assert!(ended.stderr.contains("exited"), "{}", ended.stderr);
    world.until_no_agents();
}

#[test]
fn the_target_is_killed() {
    let world = World::new();
    let mut target = orders();
    let mut attached = world.attach(&target, &process_line(), "{o.id}", &[]);
    attached.logs(3);
    target.kill();
    let end = attached.json_until(|value| value["type"] == "end");
    assert_eq!(end["reason"], "killed", "{end}");
    let ended = attached.ended().status(3);
    assert!(ended.stderr.contains("SIGKILL"), "{}", ended.stderr);
}

#[test]
fn the_target_becomes_another_program() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("execer.c").build(), [""; 0]);
    let line = location("execer.c", "tick");
    let mut attached = world.attach(&target, &line, "n={n}", &[]);
    attached.logs(3);
    target.send("");
    assert_eq!(target.line(), "again", "exec works as it would have");
    let end = attached.json_until(|value| value["type"] == "end");
    assert_eq!(end["reason"], "execed", "{end}");
    attached.ended().status(3);
    assert!(text_differences(target.pid()).unwrap().is_empty());
    wait_until("no tracer", || (target.tracer() == 0).then_some(()));
}
