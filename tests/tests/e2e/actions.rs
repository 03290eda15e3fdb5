//! More than one client: joining, and what is asked from another terminal.

use std::time::Duration;

use lr_fixtures::{Fixture, Target, copy_program, location, text_differences, wait_until};
use serde_json::Value;

use crate::world::World;

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").build(), ["2", "500"])
}

fn is_log_of<'a>(prefix: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |value| {
        value["type"] == "log"
            && value["message"]
                .as_str()
                .is_some_and(|message| message.starts_with(prefix))
    }
}

#[test]
fn a_second_attach_joins_and_takes_only_its_own_away() {
    let world = World::new();
    let target = orders();
    let (process, price) = (
        location("orders.c", "process"),
        location("orders.c", "price"),
    );
    let mut first = world.attach(&target, &process, "first {o.id}", &["--ignore-quota"]);
    first.logs(3);
    let tracer = target.tracer();
    let mut second = world.attach(
        &target,
        &price,
        "second {item.quantity}",
        &["--ignore-quota"],
    );
    second.json_until(is_log_of("second"));
    assert_eq!(target.tracer(), tracer, "one agent per process");
    assert_eq!(world.get("/agents").as_array().unwrap().len(), 1);

    let ended = second.interrupted().status(0);
    assert!(!ended.stdout.contains("first "), "{}", ended.stdout);
    first.json_until(is_log_of("first"));
    let planted = text_differences(target.pid()).unwrap().len();
    assert_eq!(planted, 1, "only the first's site is left");

    first.interrupted().done();
    target.assert_unharmed();
}

#[test]
fn two_logs_of_one_line_are_two_logs() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("counted.c").build(), ["1", "50"]);
    let line = location("counted.c", "step");
    let pid = target.pid().to_string();
    let mut attached = world.start([
        "attach",
        &pid,
        "--json",
        "--rate",
        "1000000",
        "--ignore-quota",
        "--log",
        &line,
        "a={n}",
        "--log",
        &line,
        "b={doubled}",
    ]);
    attached.until_all_bound(2);
    target.send("go");
    let logs = attached.logs(100);
    let count = |prefix: &str| logs.iter().filter(|log| is_log_of(prefix)(log)).count();
    assert_eq!((count("a="), count("b=")), (50, 50));
    attached.interrupted().done();
    target.assert_clean();
}

#[test]
fn a_log_added_from_another_terminal() {
    let world = World::new();
    let target = orders();
    let pid = target.pid().to_string();
    let attached = world.start(["attach", &pid, "--json"]);
    wait_until("the agent", || {
        let exists = world.state_dir().join("server.sock").exists();
        (exists && !world.get("/agents").as_array().unwrap().is_empty()).then_some(())
    });

    let line = location("orders.c", "process");
    let added = world
        .lr(["log", &line, "late={o.id}", "--name", "late"])
        .status(0);
    assert!(added.stdout.contains("late") || added.stderr.contains("late"));
    let mut tail = world.start(["tail", "--json"]);
    for log in tail.logs(3) {
        assert!(is_log_of("late=")(&log), "{log}");
    }
    drop(tail);

    let actions = world.get("/actions");
    let id = actions[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(actions[0]["name"], "late");
    let listed = world.lr(["actions"]).done();
    assert!(listed.contains(&id) && listed.contains("late"), "{listed}");
    let details = world.lr(["actions", &id]).done();
    assert!(details.contains(&line), "{details}");
    let agents = world.lr(["agents"]).done();
    assert!(agents.contains(&pid), "{agents}");

    world.lr(["rm", &id]).done();
    wait_until("the site to go", || {
        text_differences(target.pid())
            .unwrap()
            .is_empty()
            .then_some(())
    });
    wait_until("the action to go", || {
        world
            .get("/actions")
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    });
    wait_until("no tracer: nothing is asked for", || {
        (target.tracer() == 0).then_some(())
    });
    world.agent_of(&target);
    attached.interrupted().done();
    target.assert_unharmed();
}

#[test]
fn log_waits_for_events() {
    let world = World::new();
    let target = orders();
    let pid = target.pid().to_string();
    let line = location("orders.c", "process");
    let attached = world.start(["attach", &pid, "--json", "--log", &line, "{o.id}"]);
    wait_until("the agent", || {
        let exists = world.state_dir().join("server.sock").exists();
        (exists && !world.get("/agents").as_array().unwrap().is_empty()).then_some(())
    });
    let waited = world
        .lr([
            "log",
            &line,
            "w={o.id}",
            "--wait",
            "3",
            "--timeout",
            "60s",
            "--json",
        ])
        .status(0);
    let logs = waited
        .json_lines()
        .iter()
        .filter(|value| is_log_of("w=")(value))
        .count();
    assert_eq!(logs, 3, "{}", waited.stdout);
    world
        .lr([
            "log",
            &line,
            "{o.id}",
            "--if",
            "o.id < 0",
            "--wait",
            "1",
            "--timeout",
            "1s",
        ])
        .status(1);
    attached.interrupted();
}

#[test]
fn background_and_detach() {
    let world = World::new();
    let target = orders();
    let pid = target.pid().to_string();
    let line = location("orders.c", "process");
    world
        .lr([
            "attach",
            &pid,
            "--background",
            "--ignore-quota",
            "--as",
            "shop",
            "--log",
            &line,
            "id={o.id}",
        ])
        .status(0);
    assert!(
        !text_differences(target.pid()).unwrap().is_empty(),
        "bound on return"
    );
    let mut tail = world.start(["tail", "--agent", "shop", "--json"]);
    tail.logs(2);
    drop(tail);
    world.lr(["detach", "shop"]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
    assert!(world.sql_number("SELECT count(*) FROM logs") >= 2);
}

#[test]
fn background_ends_by_itself_after_its_hits() {
    let world = World::new();
    let target = orders();
    let pid = target.pid().to_string();
    let line = location("orders.c", "process");
    world
        .lr([
            "attach",
            &pid,
            "--background",
            "--hits",
            "3",
            "--log",
            &line,
            "id={o.id}",
        ])
        .status(0);
    world.until_no_agents();
    target.assert_unharmed();
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 3);
}

#[test]
fn background_without_actions_stays_for_those_of_others() {
    let world = World::new();
    let target = orders();
    let pid = target.pid().to_string();
    world.lr(["attach", &pid, "--background"]).status(0);
    let line = location("orders.c", "process");
    for _ in 0..2 {
        let log = ["log", &line, "id={o.id}", "--hits", "1", "--wait", "1"];
        world.lr(log).status(0);
    }
    world.lr(["detach", &pid]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}

#[test]
fn by_name_where_one_process_has_it() {
    let world = World::new();
    // Another run of these tests on the same machine has others; a name has 15 letters at most.
    let name = format!("only-{}", std::process::id());
    let copy = world.folder().join(&name);
    copy_program(&Fixture::c("orders.c").build(), &copy);
    let target = Target::spawn(&copy, [""; 0]);
    let line = location("orders.c", "process");
    let log = ["--json", "--hits", "1", "--log", &line, "{o.id}"];
    for selection in [["--comm", &name], ["--exe", copy.to_str().unwrap()]] {
        let mut arguments = vec!["attach"];
        arguments.extend(selection);
        arguments.extend(log);
        let mut attached = world.start(arguments);
        assert_eq!(attached.logs(1)[0]["pid"], target.pid());
        attached.ended().done();
    }
    let twin = Target::spawn(&copy, [""; 0]);
    let refused = world.lr(["attach", "--comm", &name]);
    assert_ne!(refused.status, Some(0));
    for pid in [target.pid(), twin.pid()] {
        assert!(
            refused.stderr.contains(&pid.to_string()),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn tail_replays_what_was_stored() {
    let world = World::new();
    let target = orders();
    let line = location("orders.c", "process");
    world
        .attach(&target, &line, "old={o.id}", &["--hits", "5"])
        .ended()
        .done();
    let mut tail = world.start(["tail", "--since", "5m", "--json"]);
    for log in tail.logs(5) {
        assert!(is_log_of("old=")(&log), "{log}");
    }
    assert!(tail.is_quiet_for(Duration::from_millis(200)));
}
