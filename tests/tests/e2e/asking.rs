//! Counters and metrics from end to end, and what changes an action from another terminal.

use lr_fixtures::{Fixture, Target, location, text_differences, wait_until};
use serde_json::Value;

use crate::world::World;

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").build(), ["2", "2000"])
}

/// Attaches in the background, with an action that is never hit, so that the agent stays.
pub(crate) fn attached(world: &World, target: &Target) {
    let pid = target.pid().to_string();
    // A busy machine makes of each hit so much that it would be paused now and then.
    let quota = "--ignore-quota";
    let anchor = [
        "attach",
        &pid,
        "--background",
        quota,
        "--counter",
        "make_order",
    ];
    world
        .lr(anchor
            .into_iter()
            .chain(["--if", "id == -1", "--name", "anchor"]))
        .status(0);
}

/// The state of an action as the server knows it.
pub(crate) fn state(world: &World, id: &str) -> String {
    let action = world.get(&format!("/actions/{id}"));
    action["statuses"][0]["state"].as_str().unwrap().to_owned()
}

pub(crate) fn until_state(world: &World, id: &str, wanted: &[&str]) {
    wait_until("the state of an action", || {
        wanted.contains(&state(world, id).as_str()).then_some(())
    });
}

/// The sum of what the rows of an action say, read until it is `passes`.
fn counted(world: &World, kind: &str, passes: i64) {
    let sql = format!("SELECT coalesce(sum(count), 0) FROM metrics WHERE kind = '{kind}'");
    wait_until("every pass to be counted", || {
        (world.sql_number(&sql) >= passes).then_some(())
    });
    assert_eq!(world.sql_number(&sql), passes);
}

#[test]
fn counters_and_metrics_of_eight_threads_are_exact() {
    let world = World::new();
    let program = Fixture::c("counted.c").opt('2').build();
    let mut target = Target::spawn(&program, ["8", "1000"]);
    let (pid, line) = (target.pid().to_string(), location("counted.c", "step"));
    let words = ["attach", &pid, "--json", "--ignore-quota", "--unit", "ns"];
    let actions = ["--counter", &line, "--metric", &line, "n"];
    let mut attached = world.start(words.into_iter().chain(actions));
    attached.until_all_bound(2);
    target.send("go");
    assert!(target.line().starts_with("counted 8000 "));
    counted(&world, "counter", 8000);
    counted(&world, "metric", 8000);
    let mut told = 0;
    while told < 16_000 {
        let row = attached.json_until(|event| event["type"] == "metric");
        told += row["count"].as_u64().unwrap();
        assert_eq!(row["group"], Value::Null);
    }
    let metrics = world.lr(["metrics", "--json"]).status(0).json_lines();
    let of = |kind: &str| {
        let found = metrics.iter().find(|metric| metric["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in {metrics:?}"))
    };
    assert_eq!(of("counter")["count"], 8000);
    let metric = of("metric");
    // Each thread counts from 0 to 999.
    assert_eq!(
        ["count", "sum", "min", "max", "mean"].map(|name| metric[name].as_f64().unwrap()),
        [8000.0, 8.0 * 499_500.0, 0.0, 999.0, 499.5]
    );
    assert_eq!(metric["unit"], "ns");
    // As exact as a bucket is wide: an eighth of a power of two.
    for (name, exact) in [("p50", 500.0), ("p99", 990.0)] {
        let told = metric[name].as_f64().unwrap();
        assert!((told - exact).abs() <= exact / 8.0, "{name} {told}");
    }
    attached.interrupted().status(0);
    target.assert_clean();
}

#[test]
fn a_counter_is_grouped_by_an_expression() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("counted.c").build(), ["2", "300"]);
    let (pid, line) = (target.pid().to_string(), location("counted.c", "step"));
    let words = ["attach", &pid, "--json", "--ignore-quota", "--by", "n % 3"];
    let mut attached = world.start(words.into_iter().chain(["--counter", &line]));
    attached.until_bound();
    target.send("go");
    assert!(target.line().starts_with("counted 600 "));
    counted(&world, "counter", 600);
    let groups = world.sql(
        "SELECT group_key, sum(count)::INTEGER AS n FROM metrics \
         WHERE group_key IS NOT NULL GROUP BY ALL ORDER BY ALL",
    );
    let expected = serde_json::json!([
        {"group_key": "0", "n": 200}, {"group_key": "1", "n": 200}, {"group_key": "2", "n": 200}
    ]);
    assert_eq!(Value::from(groups), expected);
    attached.interrupted().status(0);
    target.assert_clean();
}

#[test]
fn an_edit_replaces_what_is_planted() {
    let world = World::new();
    let target = orders();
    attached(&world, &target);
    let line = location("orders.c", "process");
    let id = world
        .lr(["log", &line, "first {o.id}", "--ignore-quota"])
        .status(0)
        .stdout;
    let id = id.trim();
    let mut tail = world.start(["tail", "--json", "--action", id]);
    tail.json_until(|event| event["type"] == "log");
    let edited = world
        .lr(["edit", id, "--template", "second {o.id}"])
        .status(0);
    assert!(edited.stderr.contains("version 2"), "{}", edited.stderr);
    let is_second = |event: &Value| {
        let message = event["message"].as_str().unwrap_or_default();
        message.starts_with("second ")
    };
    tail.json_until(is_second);
    drop(tail);
    // After the first of the new version none of the old one came.
    assert_eq!(
        world.sql_number(
            "SELECT count(*) FROM logs a WHERE action_version = 1 AND seq > \
             (SELECT min(seq) FROM logs WHERE action_version = 2)"
        ),
        0
    );
    world
        .lr(["edit", id, "--template", "third", "--version", "1"])
        .refused(1, "version_conflict");
    world.lr(["edit", id, "--by", "o.id"]).refused(2, "usage");
    world.lr(["edit", id]).refused(2, "usage");
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}

#[test]
fn what_is_done_begins_again_and_what_is_disabled_is_not_planted() {
    let world = World::new();
    let target = orders();
    attached(&world, &target);
    let process = location("orders.c", "process");
    let two = [
        "log",
        &process,
        "{o.id}",
        "--name",
        "two",
        "--hits",
        "2",
        "--ignore-quota",
    ];
    let id = world.lr(two.into_iter().chain(["--wait", "2", "--json"]));
    let id = id.status(0).json_lines()[0]["action"]
        .as_str()
        .unwrap()
        .to_owned();
    until_state(&world, &id, &["done"]);
    let details = world.lr(["actions", "two"]).done();
    assert!(details.contains(&format!("`lr retake {id}`")), "{details}");
    world.lr(["enable", "two"]).refused(1, "action_ended");

    world.lr(["retake", "two"]).status(0);
    let count = "SELECT count(*) FROM logs WHERE action_version =";
    wait_until("two more hits", || {
        (world.sql_number(&format!("{count} 2")) == 2).then_some(())
    });
    until_state(&world, &id, &["done"]);
    assert_eq!(world.sql_number(&format!("{count} 1")), 2);

    // A copy without an end of its own, switched off and on.
    world.lr(["edit", "two", "--hits", "1000000"]).status(0);
    until_state(&world, &id, &["hit"]);
    let planted = || text_differences(target.pid()).unwrap().len();
    wait_until("both sites", || (planted() == 2).then_some(()));
    world.lr(["disable", "two", "anchor"]).status(0);
    until_state(&world, &id, &["disabled"]);
    wait_until("the bytes to be back", || (planted() == 0).then_some(()));
    let details = world.lr(["actions", "two"]).done();
    assert!(details.contains("switched off"), "{details}");
    world.lr(["enable", "two"]).status(0);
    until_state(&world, &id, &["hit", "bound"]);
    let copy = world.lr(["duplicate", "two", "--name", "copy"]).done();
    until_state(&world, copy.trim(), &["hit", "bound"]);

    let stopped = world.lr(["stop", "--all"]).status(0);
    assert!(
        stopped.stderr.contains("stopped 3 actions"),
        "{}",
        stopped.stderr
    );
    assert_eq!(planted(), 0, "when it returns, nothing is planted");
    world.lr(["retake", "two"]).refused(1, "action_ended");
    world.until_no_agents();
    target.assert_unharmed();
}

#[test]
fn an_action_tells_why_nothing_comes_of_it() {
    let world = World::new();
    let target = orders();
    attached(&world, &target);
    let place = |what: &[&str]| {
        let id = world.lr(what).status(0).stdout;
        id.trim().to_owned()
    };
    let process = location("orders.c", "process");
    let never = place(&["counter", &process, "--if", "o.id < 0"]);
    let gone = place(&["log", "no_such_library.so!f", "x"]);
    let told = |id: &str, wanted: &str| {
        wait_until("the reason", || {
            let details = world.lr(["actions", id]).done();
            details.contains(wanted).then_some(())
        });
    };
    told(&never, "the condition never held");
    told(&never, "last minute: observed for");
    told(&gone, "not loaded");
    world.lr(["rm", &gone]).status(0);
    told(&gone, "it was removed");
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}

fn taken(world: &World, location: &str, name: &str) -> Value {
    let words = ["snapshot", location, "--name", name, "--watch", "o.id * 2"];
    let more = ["--wait", "1", "--json", "--ignore-quota"];
    let taken = world.lr(words.into_iter().chain(more));
    let lines = taken.status(0).json_lines();
    let mut snapshots = lines.into_iter().filter(|line| line["type"] == "snapshot");
    snapshots.next().unwrap()
}

#[test]
fn a_snapshot_is_taken_stored_shown_and_taken_again() {
    let world = World::new();
    let target = orders();
    attached(&world, &target);
    let process = location("orders.c", "process");
    // A busy machine may not read all of one in its time, and says so.
    let mut number = 0;
    let snapshot = wait_until("a whole one", || {
        number += 1;
        let snapshot = taken(&world, &process, &format!("stack-{number}"));
        (!snapshot.to_string().contains(r#""budget""#)).then_some(snapshot)
    });
    let frame = &snapshot["frames"][0];
    assert_eq!(
        (&frame["function"], &snapshot["frames"][1]["function"]),
        (&"process_order".into(), &"work".into())
    );
    let order = &frame["variables"][0];
    let member = |name: &str| -> u64 {
        let members = order["children"].as_array().unwrap();
        let member = members
            .iter()
            .find(|member| member["name"] == name)
            .unwrap();
        member["value"].as_str().unwrap().parse().unwrap()
    };
    let id = member("id");
    // Beyond 2^53, and told exactly.
    assert_eq!(member("sequence"), 9_007_199_254_740_993 + id);
    assert_eq!(snapshot["watches"][0]["value"], (id * 2).to_string());
    let action = snapshot["action"].as_str().unwrap();
    until_state(&world, action, &["done"]);

    let shown = world.lr(["show", snapshot["id"].as_str().unwrap()]).done();
    assert!(shown.contains(&format!("id: {id}")), "{shown}");
    let path = format!("SELECT count(*) FROM captured WHERE path = 'o.id' AND i = {id}");
    assert_eq!(world.sql_number(&path), 1);

    world.lr(["retake", action]).status(0);
    let count = format!("SELECT count(*) FROM snapshots WHERE action_id = '{action}'");
    wait_until("another snapshot", || {
        (world.sql_number(&count) == 2).then_some(())
    });
    let listed = world.lr(["snapshots", "--action", action, "--json"]);
    let listed = listed.status(0).json_lines();
    assert_eq!((listed.len(), &listed[0]["id"]), (2, &snapshot["id"]));
    assert!(listed[1]["stop_ns"].as_u64().unwrap() > 0);
    world.lr(["show", "nobody-1"]).refused(1, "not_found");
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}
