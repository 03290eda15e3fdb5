//! What an action may cost, and where that is shown.

use lr_fixtures::{Fixture, Target, location, wait_until};

use crate::world::World;

/// The query with which the portal asks what actions cost.
fn of_the_portal() -> &'static str {
    let source = include_str!("../../../web/src/spent.ts");
    let (_, query) = source.split_once("QUERY = `").expect("the query");
    query.split('`').next().expect("its end")
}

#[test]
fn a_costly_action_is_let_loose_when_its_line_was_counted() {
    let world = World::new();
    let program = Fixture::c("counted.c").opt('2').build();
    let mut target = Target::spawn(&program, ["1", "20000"]);
    let pid = target.pid().to_string();
    let line = location("counted.c", "step");
    world.lr(["attach", &pid, "--background"]).done();
    let mut rounds = 0;
    // The second pass of a round comes late on a machine with much to do: then nothing was counted.
    let id = wait_until("passes that were only counted", || {
        rounds += 1;
        let name = format!("costly-{rounds}");
        let snapshot = ["snapshot", &line, "--hits", "50", "--name", &name];
        world.lr(snapshot).done();
        target.send("go");
        target.line();
        let query = format!(
            "SELECT coalesce(sum(hits) > 0 AND sum(kept) > 0, false)::INTEGER FROM coverage \
             WHERE action = '{name}'"
        );
        wait_until("a second of it", || {
            (world.sql_number(&query) > 0).then_some(())
        });
        world.lr(["rm", &name]).done();
        let counted = format!(
            "SELECT coalesce(sum(count), 0) FROM losses \
             WHERE action = '{name}' AND reason = 'over_budget'"
        );
        (world.sql_number(&counted) > 0).then_some(name)
    });
    let exact = format!(
        "SELECT sum(hits) - sum(kept) - sum(rate_limited) - sum(over_budget) - sum(dropped) \
         FROM coverage WHERE action = '{id}'"
    );
    wait_until("every hit to be told", || {
        (world.sql_number(&exact) == 0).then_some(())
    });
    let least = "SELECT min(over_budget) FROM coverage WHERE over_budget > 0";
    assert!(world.sql_number(least) <= 65);
    let details = world.lr(["actions", &id]).done();
    assert!(details.contains("over the budget of time"), "{details}");
    assert!(details.contains(" times a second or more"), "{details}");
    world.lr(["detach", &pid]).done();
    target.assert_clean();
}

#[test]
fn what_an_action_costs_is_shown_as_it_is_stored() {
    let world = World::new();
    let program = Fixture::c("counted.c").opt('2').build();
    let mut target = Target::spawn(&program, ["1", "500"]);
    let pid = target.pid().to_string();
    let line = location("counted.c", "step");
    let counter = ["attach", &pid, "--background", "--counter", &line];
    world
        .lr(counter.iter().copied().chain(["--as", "shop"]))
        .done();
    target.send("go");
    target.line();
    wait_until("a row of overhead", || {
        (world.sql_number("SELECT count(*) FROM overhead WHERE stops > 0") > 0).then_some(())
    });
    let actions = world.sql("SELECT DISTINCT action_id AS id FROM overhead");
    let id = actions[0]["id"].as_str().unwrap();
    let details = world.lr(["actions", id]).done();
    // It was stored within the last minute, unless the machine stood still meanwhile.
    let is_recent = "SELECT count(*) FROM overhead WHERE recv_ts > now() - INTERVAL 50 SECOND";
    if world.sql_number(is_recent) > 0 {
        assert!(
            details.contains(" % of the time of the 1 % that it may"),
            "{details}"
        );
        let portal = world.sql(of_the_portal());
        assert_eq!(portal[0]["action_id"], id);
        let share = portal[0]["share"].as_f64().unwrap();
        assert!(share > 0.0 && share < 1.0, "{share}");
        let stored = world.sql("SELECT max(max_stop_ns) / 1e6 AS longest FROM overhead");
        assert_eq!(portal[0]["longest_ms"], stored[0]["longest"]);
        let longest = format!("{:.3} ms", portal[0]["longest_ms"].as_f64().unwrap());
        assert!(details.contains(&longest), "{details}: {longest}");
    }
    world.lr(["detach", &pid]).done();
    target.assert_clean();
}
