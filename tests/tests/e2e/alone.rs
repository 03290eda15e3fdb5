//! What holds while one of them is gone: the server, the agent, the clock, the process itself.

use std::path::PathBuf;
use std::process::Command;

use lr_fixtures::{Fixture, Target, location, text_differences, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::asking::{state, until_state};
use crate::world::World;

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").build(), ["2", "2000"])
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

/// Sends SIGCONT to a process when this goes, also where a test fails.
struct Frozen(u32);

impl Frozen {
    fn new(pid: u32) -> Frozen {
        signal(pid, Signal::SIGSTOP);
        Frozen(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.try_into().unwrap()), Signal::SIGCONT);
    }
}

fn agent_pid(world: &World, target: &Target) -> u32 {
    let agent = world.agent_of(target);
    agent["agent_pid"].as_u64().unwrap().try_into().unwrap()
}

/// An agent that stays, with a tag, and the id of another action on it.
fn tagged(world: &World, target: &Target) {
    let pid = target.pid().to_string();
    let anchor = ["attach", &pid, "--background", "--tag", "env=test"];
    let never = ["--counter", "make_order", "--if", "id == -1"];
    world.lr(anchor.into_iter().chain(never)).status(0);
}

fn placed(world: &World, words: &[&str]) -> String {
    world.lr(words).status(0).stdout.trim().to_owned()
}

fn until_clean(target: &Target) {
    wait_until("the text to be the file's", || {
        let differences = text_differences(target.pid()).expect("the target lives");
        differences.is_empty().then_some(())
    });
}

#[test]
fn an_action_expires_without_its_server() {
    let world = World::new();
    let target = orders();
    let (pid, place) = (target.pid().to_string(), location("orders.c", "process"));
    let words = [
        "attach",
        &pid,
        "--background",
        "--for",
        "4s",
        "--ignore-quota",
    ];
    world
        .lr(words.into_iter().chain(["--counter", &place]))
        .status(0);
    let server = Frozen::new(world.server_pid().unwrap());
    until_clean(&target);
    wait_until("no tracer", || (target.tracer() == 0).then_some(()));
    drop(server);
    world.until_no_agents();
    let actions = world.lr(["actions", "--all", "--json"]).status(0);
    assert_eq!(actions.json_lines()[0]["statuses"][0]["state"], "expired");
    target.assert_unharmed();
}

#[test]
fn an_action_expires_without_its_agent() {
    let world = World::new();
    let target = orders();
    tagged(&world, &target);
    let place = location("orders.c", "process");
    let words = ["counter", &place, "--for", "3s", "--ignore-quota"];
    let id = placed(&world, &words);
    let agent = Frozen::new(agent_pid(&world, &target));
    // The anchor is at another place.
    wait_until("the site to go", || {
        let differences = text_differences(target.pid()).unwrap();
        (differences.len() == 1).then_some(())
    });
    until_state(&world, &id, &["expired"]);
    drop(agent);
    wait_until("the agent to be heard", || {
        let agent = world.agent_of(&target);
        let seen = agent["last_seen"].as_i64().unwrap();
        let action = world.get(&format!("/actions/{id}"));
        (seen > action["expires_at"].as_i64().unwrap()).then_some(())
    });
    assert_eq!(state(&world, &id), "expired");
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}

#[test]
fn an_agent_that_was_killed_is_replaced_by_one_that_carries_what_is_left() {
    let world = World::new();
    let target = orders();
    tagged(&world, &target);
    let place = location("orders.c", "process");
    let log = |name: &'static str, more: &[&str]| {
        let words = [
            "log",
            &place,
            name,
            "--name",
            name,
            "--agent",
            "tag:env=test",
        ];
        let fast = ["--ignore-quota", "--rate", "100000"];
        let words: Vec<&str> = words.iter().chain(&fast).chain(more).copied().collect();
        placed(&world, &words)
    };
    let limited = log("limited", &["--hits", "1500"]);
    let removed = log("removed", &[]);
    let expiring = log("expiring", &["--for", "5s"]);
    let edited = log("edited", &[]);
    let count = |id: &str| {
        world.sql_number(&format!(
            "SELECT count(*) FROM logs WHERE action_id = '{id}'"
        ))
    };
    wait_until("a hit", || (count(&limited) > 0).then_some(()));
    let killed = world.agent_of(&target)["id"].as_str().unwrap().to_owned();
    signal(agent_pid(&world, &target), Signal::SIGKILL);
    until_clean(&target);
    world.until_no_agents();
    world.lr(["rm", &removed]).status(0);
    world.lr(["edit", &edited, "--template", "again"]).status(0);
    let stored = (count(&removed), count(&expiring));
    wait_until("the expiry", || {
        let action = world.get(&format!("/actions/{expiring}"));
        let now = world.sql_number("SELECT epoch_us(now())");
        (now > action["expires_at"].as_i64().unwrap()).then_some(())
    });

    let before = count(&limited);
    let kept = |agent: &str| -> i64 {
        let action = world.get(&format!("/actions/{limited}"));
        let statuses = action["statuses"].as_array().unwrap();
        let status = statuses.iter().find(|status| status["agent_id"] == agent);
        status.unwrap()["counts"]["kept"].as_i64().unwrap()
    };
    // What it kept and could not send any more is lost, and not had again.
    let had = before.max(kept(&killed));

    tagged(&world, &target);
    wait_until("a log of the version that was made meanwhile", || {
        let again = format!(
            "SELECT count(*) FROM logs WHERE action_id = '{edited}' AND action_version = 2 \
             AND message = 'again'"
        );
        (world.sql_number(&again) > 0).then_some(())
    });
    let agent = world.agent_of(&target)["id"].as_str().unwrap().to_owned();
    let states = |id: &str| -> Vec<Value> {
        let action = world.get(&format!("/actions/{id}"));
        let statuses = action["statuses"].as_array().unwrap().clone();
        let ours = statuses
            .into_iter()
            .filter(|status| status["agent_id"] == agent.as_str());
        ours.map(|status| status["state"].clone()).collect()
    };
    wait_until("the end of the limited one", || {
        (states(&limited) == ["done"]).then_some(())
    });
    let told = world.get(&format!("/actions/{limited}"));
    assert_eq!(had + kept(&agent), 1500, "{before} stored; {told:#}");
    // What it kept last may be on its way still.
    wait_until("every log", || {
        (count(&limited) >= before + kept(&agent)).then_some(())
    });
    let none: [Value; 0] = [];
    assert_eq!(
        (states(&removed), states(&expiring)),
        (none.to_vec(), none.to_vec())
    );
    assert_eq!((count(&removed), count(&expiring)), stored);
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    assert_eq!(count(&limited), before + kept(&agent));
    target.assert_unharmed();
}

#[test]
fn a_server_that_was_killed_is_told_everything_once() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("counted.c").build(), ["4", "250"]);
    let (pid, place) = (target.pid().to_string(), location("counted.c", "step"));
    let words = [
        "attach",
        &pid,
        "--background",
        "--ignore-quota",
        "--rate",
        "1000000",
    ];
    let actions = ["--log", &place, "n={n}", "--counter", &place];
    world.lr(words.into_iter().chain(actions)).status(0);
    let round = |target: &mut Target| {
        target.send("go");
        assert!(target.line().starts_with("counted 1000 "));
    };
    round(&mut target);
    let logs = || world.sql_number("SELECT count(*) FROM logs");
    wait_until("the first logs", || (logs() > 0).then_some(()));
    let server = world.server_pid().unwrap();
    // In the middle of a round.
    target.send("go");
    signal(server, Signal::SIGKILL);
    assert!(target.line().starts_with("counted 1000 "));
    wait_until("the server to end", || {
        (world.server_pid() != Some(server)).then_some(())
    });
    round(&mut target);
    // The next command starts another.
    wait_until("every log", || (logs() >= 3000).then_some(()));
    let counted = "SELECT coalesce(sum(count), 0) FROM metrics";
    wait_until("every count", || {
        (world.sql_number(counted) >= 3000).then_some(())
    });
    round(&mut target);
    wait_until("every log", || (logs() >= 4000).then_some(()));
    wait_until("every count", || {
        (world.sql_number(counted) >= 4000).then_some(())
    });
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    assert_eq!((logs(), world.sql_number(counted)), (4000, 4000));
    let twice = "SELECT count(*) FROM (SELECT tid, message, count(*) AS n FROM logs GROUP BY ALL)
                 WHERE n > 1";
    assert_eq!(
        world.sql_number(twice),
        0,
        "each thread passes with a number once"
    );
    target.assert_clean();
}

/// A library that moves the clock of day by what stands in a file, and no other clock.
fn moving_clock(world: &World) -> (PathBuf, PathBuf) {
    let (source, library) = (
        world.folder().join("clock.c"),
        world.folder().join("clock.so"),
    );
    let offset = world.folder().join("offset");
    std::fs::write(&offset, "0").unwrap();
    let code = format!(
        "#define _GNU_SOURCE\n#include <stdlib.h>\n#include <fcntl.h>\n#include <time.h>\n\
         #include <unistd.h>\n#include <sys/syscall.h>\n\
         int clock_gettime(clockid_t clock, struct timespec *now) {{\n\
         long failed = syscall(SYS_clock_gettime, clock, now);\n\
         if (failed || clock != CLOCK_REALTIME) return (int)failed;\n\
         char text[32] = {{0}};\n int file = open(\"{}\", O_RDONLY | O_CLOEXEC);\n\
         if (file >= 0) {{ if (read(file, text, 31) > 0) now->tv_sec += atol(text); close(file); }}\n\
         return 0;\n}}\n",
        offset.display()
    );
    std::fs::write(&source, code).unwrap();
    let compiled = Command::new("gcc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.unwrap().success());
    (library, offset)
}

#[test]
fn a_clock_that_jumps_ends_nothing_early_and_nothing_late() {
    const DAY: i64 = 86_400;
    let world = World::new();
    let (library, offset) = moving_clock(&world);
    let lr = |words: &[&str]| {
        let mut command = world.command();
        command.args(words).env("LD_PRELOAD", &library);
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    let target = orders();
    let (pid, place) = (target.pid().to_string(), location("orders.c", "process"));
    lr(&[
        "attach",
        &pid,
        "--background",
        "--counter",
        "make_order",
        "--if",
        "id == -1",
    ]);
    for jump in [2 * DAY, -2 * DAY] {
        let long = lr(&["counter", &place, "--ignore-quota", "--for", "1h"]);
        let long = long.trim();
        let short = lr(&["counter", &place, "--ignore-quota", "--for", "3s"]);
        std::fs::write(&offset, jump.to_string()).unwrap();
        until_state(&world, short.trim(), &["expired"]);
        let counts = |id: &str| world.get(&format!("/actions/{id}"))["statuses"][0].clone();
        let before = counts(long)["counts"]["hits"].as_u64().unwrap();
        wait_until("more hits of the one with an hour", || {
            let now = counts(long);
            assert_eq!(now["state"], "hit", "{now}");
            (now["counts"]["hits"].as_u64().unwrap() > before).then_some(())
        });
        lr(&["rm", long]);
        std::fs::write(&offset, "0").unwrap();
    }
    // Neither more nor less was observed than there was.
    let observed = world.sql_number("SELECT max(observed_ms) FROM coverage");
    assert!(observed < DAY * 1000, "{observed}");
    lr(&["stop", "--all"]);
    world.until_no_agents();
    target.assert_unharmed();
}

#[test]
fn a_process_that_is_stopped_is_told_as_the_reason() {
    let world = World::new();
    let target = orders();
    tagged(&world, &target);
    let place = location("orders.c", "process");
    let stopped = Frozen::new(target.pid());
    let id = placed(&world, &["counter", &place]);
    wait_until("the reason", || {
        let details = world.lr(["actions", &id]).done();
        details.contains("kill -CONT").then_some(())
    });
    drop(stopped);
    until_state(&world, &id, &["hit"]);
    let details = world.lr(["actions", &id]).done();
    assert!(!details.contains("kill -CONT"), "{details}");
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}
