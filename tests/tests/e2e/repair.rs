//! What is left when the tracer is killed, and who puts it back.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use lr_fixtures::{Fixture, Target, location, text_differences, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::world::World;

fn paced() -> Target {
    Target::spawn(&Fixture::c("paced.c").opt('2').build(), [""; 0])
}

/// With a log at a line that nobody comes to.
fn planted(world: &World, target: &Target) {
    let line = location("paced.c", "never");
    let pid = target.pid().to_string();
    world
        .lr(["attach", &pid, "--background", "--log", &line, "n={n}"])
        .done();
    wait_until("it to be planted", || {
        (text_differences(target.pid()).unwrap().len() == 1).then_some(())
    });
}

/// The process of the thread that traces.
fn tracer_of(target: &Target) -> Pid {
    let status = std::fs::read_to_string(format!("/proc/{}/status", target.tracer())).unwrap();
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    Pid::from_raw(process.unwrap().trim().parse().unwrap())
}

fn agent_of(world: &World, target: &Target) -> Pid {
    let agent = world.agent_of(target)["agent_pid"].as_i64().unwrap();
    Pid::from_raw(agent.try_into().unwrap())
}

fn assert_it_works(target: &mut Target) {
    target.assert_clean();
    target.send("compute 1");
    assert!(target.line().starts_with("did "));
}

fn doctor(world: &World, target: &Target) -> String {
    world.lr(["doctor", &target.pid().to_string()]).stdout
}

#[test]
fn the_agent_puts_back_what_a_killed_tracer_left() {
    let world = World::new();
    let mut target = paced();
    planted(&world, &target);
    kill(tracer_of(&target), Signal::SIGKILL).unwrap();
    wait_until("the text to be the file's", || {
        text_differences(target.pid())
            .unwrap()
            .is_empty()
            .then_some(())
    });
    assert_it_works(&mut target);
    let status = wait_until("it to be told", || {
        let actions = world.lr(["actions", "--all", "--json"]).status(0);
        let status = &actions.json_lines()[0]["statuses"][0];
        (status["state"] == "error").then(|| status.clone())
    });
    assert_eq!(status["error"]["code"], "tracer_died", "{status}");
    let message = status["error"]["message"].as_str().unwrap();
    assert!(message.contains("the agent put 1 byte back"), "{message}");
}

#[test]
fn what_both_left_is_found_and_put_back() {
    let world = World::new();
    let mut target = paced();
    planted(&world, &target);
    let pid = target.pid().to_string();
    let held = world.lr(["repair", &pid]).status(1);
    assert!(held.stderr.contains("already_traced"), "{}", held.stderr);

    // An agent that stands still puts nothing back.
    let (agent, tracer) = (agent_of(&world, &target), tracer_of(&target));
    kill(agent, Signal::SIGSTOP).unwrap();
    kill(tracer, Signal::SIGKILL).unwrap();
    wait_until("no tracer", || (target.tracer() == 0).then_some(()));
    let alive = world.lr(["repair", &pid]).status(1);
    assert!(alive.stderr.contains("is there still"), "{}", alive.stderr);
    kill(agent, Signal::SIGKILL).unwrap();
    wait_until("the agent to be gone", || {
        let left = doctor(&world, &target);
        let status = std::fs::read_to_string(format!("/proc/{agent}/status"));
        let is_gone = status.is_err() || status.unwrap().contains("Z (zombie)");
        (is_gone && left.contains("1 int3 in its text")).then_some(())
    });
    assert_eq!(text_differences(target.pid()).unwrap().len(), 1);
    let said = doctor(&world, &target);
    assert!(said.contains(&format!("`lr repair {pid}`")), "{said}");

    // The tracer's end closes the last descriptor of the journal a moment after the process is gone.
    let repaired = wait_until("it to be repaired", || {
        let tried = world.lr(["repair", &pid, "--json"]);
        (tried.status == Some(0)).then_some(tried.stdout)
    });
    let repaired: Value = serde_json::from_str(&repaired).unwrap();
    let bytes = repaired["bytes"].as_array().unwrap();
    assert_eq!(bytes.len(), 1, "{repaired}");
    assert_eq!(bytes[0]["restored"], true, "{repaired}");
    assert_it_works(&mut target);
    let again = world.lr(["repair", &pid]).done();
    assert!(again.contains("nothing to put back"), "{again}");
    assert!(doctor(&world, &target).contains("no int3"));
}

#[test]
fn what_another_tool_left_is_put_back_by_force_only() {
    let world = World::new();
    let mut target = paced();
    let pid = target.pid().to_string();
    let explained = world
        .lr([
            "explain",
            &location("paced.c", "never"),
            "--json",
            "--pid",
            &pid,
        ])
        .done();
    let explained: Value = serde_json::from_str(&explained).unwrap();
    let address = explained["addresses"][0]["address"].as_str().unwrap();
    let address = u64::from_str_radix(address.trim_start_matches("0x"), 16).unwrap();
    let memory = OpenOptions::new()
        .write(true)
        .open(format!("/proc/{pid}/mem"))
        .unwrap();
    memory.write_all_at(&[0xcc], address).unwrap();

    let left = world.lr(["repair", &pid]).status(1);
    assert!(
        left.stdout.contains("no journal of ours"),
        "{}",
        left.stdout
    );
    assert_eq!(text_differences(target.pid()).unwrap().len(), 1);
    assert!(doctor(&world, &target).contains("0 of them are lr's"));
    world.lr(["repair", &pid, "--force"]).done();
    assert_it_works(&mut target);
}
