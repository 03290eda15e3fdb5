//! Events that go to the agent's standard output.

use std::fs::File;

use lr_fixtures::{Fixture, Target, location, wait_until};
use serde_json::Value;

use crate::asking::attached;
use crate::world::World;

fn orders() -> Target {
    Target::spawn(&Fixture::c("orders.c").build(), ["2", "500"])
}

/// `lr attach` with a log of so many hits, whose events go there.
fn words(target: &Target, output: &str, hits: &str) -> Vec<String> {
    let (pid, line) = (target.pid().to_string(), location("orders.c", "process"));
    let words = ["attach", &pid, "--output", output, "--hits", hits];
    let more = ["--ignore-quota", "--log", &line, "id={o.id}"];
    words
        .iter()
        .chain(&more)
        .map(|word| (*word).to_owned())
        .collect()
}

#[test]
fn an_attach_prints_what_its_agent_writes_and_nothing_is_stored() {
    let world = World::new();
    let target = orders();
    let mut attached =
        world.start([words(&target, "stdout", "20"), vec!["--json".into()]].concat());
    for log in attached.logs(20) {
        assert!(log["message"].as_str().unwrap().starts_with("id="), "{log}");
        assert_eq!(log["pid"], target.pid());
    }
    attached.ended().done();
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 0);
    assert_eq!(world.sql_number("SELECT sum(kept) FROM coverage"), 20);
    target.assert_unharmed();

    let ended = world.lr(words(&target, "stdout", "3")).status(0);
    assert_eq!(ended.stdout.matches("id=").count(), 3, "{}", ended.stdout);
    assert!(ended.stderr.contains("not stored"), "{}", ended.stderr);
    target.assert_unharmed();
}

#[test]
fn both_stores_them_too_and_prints_each_once() {
    let world = World::new();
    let target = orders();
    let ended = world.lr(words(&target, "both", "20")).status(0);
    assert_eq!(ended.stdout.matches("id=").count(), 20, "{}", ended.stdout);
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 20);
    target.assert_unharmed();
}

#[test]
fn in_the_background_they_go_where_the_command_wrote() {
    let world = World::new();
    let target = orders();
    let path = world.folder().join("events");
    let mut command = world.command();
    command
        .args([words(&target, "stdout", "20"), vec!["--background".into()]].concat())
        .stdout(File::create(&path).unwrap());
    assert!(command.status().unwrap().success());
    world.until_no_agents();
    let text = std::fs::read_to_string(&path).unwrap();
    let logs: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(logs.len(), 20, "{text}");
    assert!(logs.iter().all(|log| log["type"] == "log"), "{text}");
    target.assert_unharmed();
}

#[test]
fn an_agent_whose_output_leads_nowhere_says_so() {
    let world = World::new();
    let target = orders();
    attached(&world, &target);
    let log = ["log", "process_order", "x", "--output", "stdout"];
    world.lr(log).refused(1, "unsupported_output");
    world
        .lr(log.into_iter().chain(["--wait", "1"]))
        .refused(2, "usage");
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}

#[test]
fn top_shows_what_actions_cost() {
    let world = World::new();
    let target = orders();
    attached(&world, &target);
    let place = location("orders.c", "process");
    let busy = ["counter", &place, "--name", "busy", "--ignore-quota"];
    world.lr(busy).status(0);
    let top = wait_until("hits of the last seconds", || {
        let rows = world.lr(["top", "--json"]).status(0).json_lines();
        let busy = rows.iter().find(|row| row["name"] == "busy")?.clone();
        (busy["hits_per_second"].as_f64()? > 0.0 && busy["share"].as_f64()? > 0.0).then_some(rows)
    });
    let shares: Vec<f64> = top.iter().filter_map(|row| row["share"].as_f64()).collect();
    assert!(
        shares.is_sorted_by(|one, other| one >= other),
        "the dearest is first: {top:?}"
    );
    let table = world.lr(["top"]).done();
    assert!(
        table.starts_with("ID ") && table.contains("busy"),
        "{table}"
    );
    world.lr(["stop", "--all"]).status(0);
    world.until_no_agents();
    target.assert_unharmed();
}
