//! Why nothing comes of an action, as `lr actions ID` alone tells it.

use lr_fixtures::{Fixture, Target, location, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::World;

fn spawn() -> Target {
    Target::spawn(&Fixture::c("reasons.c").opt('2').build(), [""; 0])
}

fn attached(world: &World, target: &Target) {
    let pid = target.pid().to_string();
    world.lr(["attach", &pid, "--background"]).status(0);
}

/// Waits until everything of `wanted` is told of the action.
#[track_caller]
fn told(world: &World, name: &str, wanted: &[&str]) {
    let mut last = String::new();
    let found = wait_for_text(|| {
        last = world.lr(["actions", name]).done();
        wanted.iter().all(|words| last.contains(words))
    });
    assert!(found, "{name}: not all of {wanted:?} in {last}");
}

/// Whether it holds before patience is over; the caller has more to say of it than that.
fn wait_for_text(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + lr_fixtures::PATIENCE;
    while std::time::Instant::now() < deadline {
        if holds() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    false
}

#[test]
fn of_actions_that_are_there() {
    let world = World::new();
    let mut target = spawn();
    attached(&world, &target);
    let place = location("reasons.c", "process");
    let log = |name: &str, place: &str, more: &[&str]| {
        let words = ["log", place, "id={o->id}", "--name", name, "--ignore-quota"];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        world.lr(words)
    };
    let counter = ["counter", "never", "--name", "never", "--ignore-quota"];
    world.lr(counter).status(0);
    log("false", &place, &["--if", "o->id < 0"]).status(0);
    log("null", &place, &["--if", "o->next->id == 3"]).status(0);
    log("zero", &place, &["--if", "7 / (o->id - o->id) == 3"]).status(0);
    log("slow", &place, &["--rate", "0.001"]).status(0);
    log("limited", &place, &["--hits", "2"]).status(0);
    log("short", &place, &["--for", "1s"]).status(0);
    log("off", &place, &[]).status(0);
    world.lr(["disable", "off"]).status(0);
    log("removed", &place, &[]).status(0);
    world.lr(["rm", "removed"]).status(0);
    log("waiting", "libnowhere.so!process", &[]).status(0);
    log("nowhere", "no_such_function", &[]).refused(1, "no_such_function");
    let metric = ["metric", &place, "7 / (o->id - o->id)", "--name", "number"];
    world
        .lr(metric.into_iter().chain(["--ignore-quota"]))
        .status(0);
    target.send("10");
    assert_eq!(target.line(), "passed");

    told(
        &world,
        "never",
        &["0 hits, 0 kept", "its place was never reached"],
    );
    told(
        &world,
        "false",
        &[
            "10 where the condition did not hold",
            "the condition never held",
        ],
    );
    told(
        &world,
        "null",
        &[
            "10 where the condition had no value",
            "last error: the condition has no value: it goes through a null pointer",
            "why nothing comes: the condition has no value: it goes",
        ],
    );
    told(&world, "zero", &["it divides by zero"]);
    told(
        &world,
        "slow",
        &[
            "10 hits, 1 kept, 9 over the rate limit",
            "why not all: more hits than 0.001 a second",
            "--rate N` keeps more",
        ],
    );
    told(
        &world,
        "limited",
        &[
            "done on",
            "2 hits, 2 kept",
            "it has had all its hits",
            "lr retake",
        ],
    );
    told(&world, "short", &["expired on", "its time is over"]);
    told(&world, "off", &["disabled on", "lr enable"]);
    told(&world, "removed", &["removed on", "lr duplicate"]);
    told(
        &world,
        "waiting",
        &[
            "pending on",
            "loads a module `libnowhere.so`",
            "not loaded yet",
        ],
    );
    told(
        &world,
        "nowhere",
        &["error[no_such_function]", "hint: to wait for a library"],
    );
    told(
        &world,
        "number",
        &[
            "10 hits, 0 kept, 10 dropped",
            "lost: 10 no_value: the expression had no value",
            "all hits were lost on the way",
        ],
    );
    world.lr(["stop", "--all"]).status(0);
    world.lr(["detach", &target.pid().to_string()]).status(0);
    world.until_no_agents();
    target.assert_clean();
}

#[test]
fn of_an_action_that_costs_too_much() {
    let world = World::new();
    let target = Target::spawn(&Fixture::c("tight.c").opt('2').build(), [""; 0]);
    attached(&world, &target);
    world.lr(["counter", "process", "--name", "dear"]).status(0);
    told(
        &world,
        "dear",
        &[
            "paused on",
            "it takes more of the process's time than it may",
            "--ignore-quota`",
        ],
    );
    let edited = world.lr(["edit", "dear", "--ignore-quota"]).status(0);
    assert!(edited.stderr.contains("version 2"), "{}", edited.stderr);
    told(&world, "dear", &["quota     ignored", "hit on"]);
    world.lr(["detach", &target.pid().to_string()]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}

#[test]
fn of_actions_whose_process_or_agent_is_gone() {
    let world = World::new();
    let mut target = spawn();
    attached(&world, &target);
    let counter = |name: &str| {
        world.lr(["counter", "process", "--name", name]).status(0);
    };
    counter("orphan");
    let agent = world.agent_of(&target)["agent_pid"].as_i64().unwrap();
    kill(Pid::from_raw(agent.try_into().unwrap()), Signal::SIGKILL).unwrap();
    told(
        &world,
        "orphan",
        &["error[agent_failed]", "died", "hint: attach again"],
    );
    wait_until("the tracer to let go", || {
        (target.tracer() == 0).then_some(())
    });

    attached(&world, &target);
    counter("left");
    target.send("exec");
    told(
        &world,
        "left",
        &["gone on", "runs another program now", "`lr attach`"],
    );
    world.until_no_agents();
    target.kill();

    let mut target = spawn();
    attached(&world, &target);
    counter("killed");
    target.kill();
    told(&world, "killed", &["gone on", "was killed by SIGKILL"]);
    world.until_no_agents();
}
