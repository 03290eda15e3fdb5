//! No hit is missed and none is invented: the program counts for itself.

use std::time::{Duration, Instant};

use lr_fixtures::{Fixture, PATIENCE, Target, location};
use serde_json::Value;

use crate::world::World;

/// Longer than a line that costs too much is left alone, so that the next round finds it planted.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs `threads` times `hits` passes over a marked line, and compares with what came.
fn check(fixture: &Fixture, threads: u32, hits: u32) {
    let world = World::new();
    let target_arguments = [threads.to_string(), hits.to_string()];
    let mut target = Target::spawn(&fixture.build(), &target_arguments);
    // What the program computes without anybody watching.
    target.send("go");
    let alone = target.line();

    let line = location("counted.c", "step");
    let fast = ["--rate", "1000000", "--ignore-quota"];
    let mut attached = world.attach(&target, &line, "n={n}", &fast);
    attached.until_bound();
    target.send("go");
    assert_eq!(target.line(), alone, "a watched program computes the same");
    let passes = usize::try_from(threads * hits).unwrap();
    let logs = attached.logs(passes);
    let ended = attached.interrupted().status(0);
    assert!(
        !ended.stdout.contains(r#""type":"log""#),
        "{}",
        ended.stdout
    );

    // Each thread counted n from 0.
    let mut by_thread = std::collections::BTreeMap::<u64, Vec<u64>>::new();
    for log in &logs {
        let n = log["fields"]["n"].as_u64().unwrap();
        by_thread
            .entry(log["tid"].as_u64().unwrap())
            .or_default()
            .push(n);
    }
    assert_eq!(by_thread.len(), usize::try_from(threads).unwrap());
    for (thread, seen) in by_thread {
        let all: Vec<u64> = (0..u64::from(hits)).collect();
        assert_eq!(seen, all, "thread {thread}");
    }
    let passes = i64::try_from(passes).unwrap();
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), passes);
    assert_eq!(world.sql_number("SELECT sum(hits) FROM coverage"), passes);
    assert_eq!(world.sql_number("SELECT count(*) FROM losses"), 0);

    target.assert_clean();
    target.send("go");
    assert_eq!(target.line(), alone, "and so afterwards");
}

#[test]
fn one_thread() {
    check(&Fixture::c("counted.c"), 1, 2000);
}

#[test]
fn eight_threads_hit_the_same_site() {
    check(&Fixture::c("counted.c"), 8, 500);
}

#[test]
fn eight_threads_hit_the_same_optimised_site() {
    check(&Fixture::c("counted.c").opt('2'), 8, 500);
}

#[test]
fn threads_that_start_and_end_meanwhile() {
    // Two hits a thread: most of the time threads come and go.
    check(&Fixture::c("counted.c").opt('2'), 64, 2);
}

#[test]
fn hits_are_counted_over_all_threads() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("counted.c").build(), ["4", "1000"]);
    let line = location("counted.c", "step");
    let limit = ["--hits", "100", "--rate", "1000000", "--ignore-quota"];
    let mut attached = world.attach(&target, &line, "n={n}", &limit);
    attached.until_bound();
    target.send("go");
    attached.ended().status(0);
    assert!(target.line().starts_with("counted 4000 "));
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 100);
    target.assert_clean();
}

#[test]
fn a_condition_chooses() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("counted.c").build(), ["2", "1000"]);
    let line = location("counted.c", "step");
    let condition = [
        "--if",
        "n % 100 == 7 && n > 500",
        "--rate",
        "1000000",
        "--ignore-quota",
    ];
    let mut attached = world.attach(&target, &line, "n={n}", &condition);
    attached.until_bound();
    target.send("go");
    let mut seen: Vec<u64> = attached
        .logs(10)
        .iter()
        .map(|log| log["fields"]["n"].as_u64().unwrap())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [507, 507, 607, 607, 707, 707, 807, 807, 907, 907]);
    target.line();
    attached.interrupted().status(0);
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 10);
    // Hits are counted whether or not the condition holds.
    assert_eq!(world.sql_number("SELECT sum(hits) FROM coverage"), 2000);
    assert_eq!(world.sql_number("SELECT sum(matched) FROM coverage"), 10);
}

#[test]
fn what_the_rate_leaves_out_is_counted() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("counted.c").build(), ["1", "1000"]);
    let line = location("counted.c", "step");
    let mut attached = world.attach(&target, &line, "n={n}", &["--rate", "10", "--ignore-quota"]);
    attached.until_bound();
    target.send("go");
    target.line();
    attached.logs(1);
    attached.interrupted().status(0);
    let kept = world.sql_number("SELECT count(*) FROM logs");
    assert!((1..1000).contains(&kept), "{kept} logs");
    assert_eq!(world.sql_number("SELECT sum(hits) FROM coverage"), 1000);
    assert_eq!(world.sql_number("SELECT sum(kept) FROM coverage"), kept);
    assert_eq!(
        world.sql_number("SELECT sum(kept + rate_limited) FROM coverage"),
        1000
    );
}

#[test]
fn a_line_that_costs_too_much_is_paused() {
    let world = World::new();
    let mut target = Target::spawn(&Fixture::c("counted.c").opt('2').build(), ["1", "3000000"]);
    let line = location("counted.c", "step");
    let begun = Instant::now();
    let mut attached = world.attach(&target, &line, "n={n}", &["--rate", "1000000"]);
    attached.until_bound();
    // A pause of half a second may be over before a busy machine has told of it.
    let mut rounds = 0;
    let deadline = begun + PATIENCE;
    let is_paused = |value: &Value| value["type"] == "state" && value["state"] == "paused";
    loop {
        target.send("go");
        // Three million hits of 50 µs would take minutes; paused, they take hardly any time.
        assert!(target.line().starts_with("counted 3000000 "));
        rounds += 1;
        if attached.json_within(PAUSE, is_paused).is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "no pause in {rounds} rounds");
    }
    attached.interrupted().status(0);
    let most = i64::try_from(begun.elapsed().as_millis()).unwrap();
    target.assert_clean();
    let [hits, observed] = [
        "SELECT sum(hits) FROM coverage",
        "SELECT sum(observed_ms) FROM coverage",
    ]
    .map(|query| world.sql_number(query));
    assert!(
        hits < 3_000_000 * rounds,
        "what was not observed is not counted: {hits} hits"
    );
    assert!(observed < most, "{observed} ms of {most}");
}
