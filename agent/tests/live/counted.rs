//! Counters and metrics of programs that know how often they pass a line, and with what.

use std::collections::BTreeMap;

use lr_fixtures::{Fixture, Target, location, wait_until};
use lr_protocol::{
    ActionKind, CounterSpec, LiveEvent, MetricRow, MetricSpec, Output, State, WantedAction,
};

use crate::server::{Server, log};
use crate::snapshots::{snapshot, snapshots};

const THREADS: u64 = 4;
const HITS: u64 = 200;

/// A program with `sell`, and how its country and its id are written there.
struct Shop {
    file: &'static str,
    fixture: fn(&str) -> Fixture,
    function: &'static str,
}

const SHOPS: [Shop; 3] = [
    Shop {
        file: "sales.c",
        fixture: Fixture::c,
        function: "sell",
    },
    Shop {
        file: "sales.cpp",
        fixture: Fixture::cpp,
        function: "shop::Till::sell",
    },
    Shop {
        file: "sales.rs",
        fixture: Fixture::rust,
        function: "sales::Till::sell",
    },
];

fn counter(action_id: &str, location: &str, by: Option<&str>) -> WantedAction {
    let mut action = log(action_id, location, "");
    action.spec.kind = ActionKind::Counter(CounterSpec {
        location: location.to_owned(),
        by: by.map(str::to_owned),
    });
    action
}

fn metric(action_id: &str, location: &str, expression: &str) -> WantedAction {
    let mut action = log(action_id, location, "");
    action.spec.kind = ActionKind::Metric(MetricSpec {
        location: location.to_owned(),
        expression: expression.to_owned(),
        by: None,
        unit: "euro".to_owned(),
    });
    action
}

fn rows(server: &Server, action_id: &str) -> Vec<MetricRow> {
    let batches = server.batches();
    let rows = batches.into_iter().flat_map(|batch| batch.metrics);
    rows.filter(|row| row.action_id == action_id).collect()
}

fn wait_for_count(server: &Server, action_id: &str, count: u64) -> Vec<MetricRow> {
    wait_until("every hit in rows", || {
        let rows = rows(server, action_id);
        let counted: u64 = rows.iter().map(|row| row.count).sum();
        assert!(counted <= count, "{counted} of {count}");
        (counted == count).then_some(rows)
    })
}

fn in_every_language(check: fn(&Shop, char)) {
    for shop in &SHOPS {
        for level in ['0', '2'] {
            check(shop, level);
        }
    }
}

pub(crate) fn every_pass_is_counted_in_every_language() {
    in_every_language(check_counts);
}

fn check_counts(shop: &Shop, level: char) {
    let program = (shop.fixture)(shop.file).opt(level).build();
    let mut target = Target::spawn(&program, [THREADS.to_string(), HITS.to_string()]);
    let undisturbed = round(&mut target);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let place = location(shop.file, "sell");
    let mut odd = counter("odd", &place, None);
    odd.spec.condition = Some("o.id % 2 == 1".to_owned());
    server.want(vec![
        counter("all", &place, None),
        counter("by", &place, Some("o.country")),
        odd,
        metric("price", &place, "o.price"),
        metric("inverse", &place, "100 / o.id"),
    ]);
    for id in ["all", "by", "odd", "price", "inverse"] {
        server.wait_for_state(id, State::Bound);
    }
    assert_eq!(round(&mut target), undisturbed, "{}", shop.file);
    let all = THREADS * HITS;
    let rows = wait_for_count(&server, "all", all);
    let first = &rows[0];
    let (line, function) = (
        place.rsplit_once(':').unwrap().1,
        shop.function
            .rsplit_once("::")
            .map_or(shop.function, |(_, last)| last),
    );
    assert!(first.name.starts_with("counter:"), "{}", first.name);
    assert!(first.name.contains(function), "{}", first.name);
    assert!(first.name.ends_with(&format!(":{line}")), "{}", first.name);

    let mut groups: BTreeMap<String, u64> = BTreeMap::new();
    for row in wait_for_count(&server, "by", all) {
        if let Some(group) = row.group {
            *groups.entry(group).or_default() += row.count;
        }
    }
    let each = |group: &str| (group.to_owned(), all / 4);
    let expected = ["\"other\"", "DE", "FR", "PT"].map(each);
    assert_eq!(groups, BTreeMap::from(expected), "{}", shop.file);
    wait_for_count(&server, "odd", all / 2);

    let rows = wait_for_count(&server, "price", all);
    let with_hits: Vec<&MetricRow> = rows.iter().filter(|row| row.count > 0).collect();
    let sum: f64 = with_hits.iter().map(|row| row.sum.unwrap()).sum();
    let least = with_hits
        .iter()
        .map(|row| row.min.unwrap())
        .fold(f64::MAX, f64::min);
    let most = with_hits
        .iter()
        .map(|row| row.max.unwrap())
        .fold(f64::MIN, f64::max);
    // The sum of id / 4 - 10 over 0 to HITS - 1, of each thread: exact in binary.
    let expected = 4.0 * (200.0 * 199.0 / 2.0 * 0.25 - 2000.0);
    assert!((sum - expected).abs() < f64::EPSILON, "{sum}");
    assert!((least - -10.0).abs() < f64::EPSILON, "{least}");
    assert!((most - 39.75).abs() < f64::EPSILON, "{most}");
    let in_buckets: u64 = rows
        .iter()
        .flat_map(|row| &row.hist)
        .map(|bucket| bucket.n)
        .sum();
    assert_eq!(in_buckets, all);

    // Order 0 has no inverse.
    wait_for_count(&server, "inverse", all - THREADS);
    let without: u64 = wait_until("the loss", || {
        let batches = server.batches();
        let losses = batches.iter().flat_map(|batch| &batch.losses);
        let ours = losses.filter(|loss| loss.action_id.as_deref() == Some("inverse"));
        let sum: u64 = ours
            .filter(|loss| loss.reason == "no_value")
            .map(|loss| loss.count)
            .sum();
        (sum > 0).then_some(sum)
    });
    assert_eq!(without, THREADS);
    server.want(vec![]);
    let status = server.wait_for_state("odd", State::Removed);
    assert_eq!((status.counts.hits, status.counts.kept), (all, all / 2));
    assert_eq!(status.counts.condition_false, all / 2);
    let stops: u64 = server
        .batches()
        .iter()
        .flat_map(|batch| &batch.overhead)
        .filter(|row| row.action_id == "all")
        .map(|row| row.stops)
        .sum();
    assert_eq!(stops, all);
    target.assert_clean();
}

pub(crate) fn every_log_in_every_language() {
    in_every_language(check_logs);
}

/// Every order of every thread is told once, with its own values.
fn check_logs(shop: &Shop, level: char) {
    let program = (shop.fixture)(shop.file).opt(level).build();
    let mut target = Target::spawn(&program, [THREADS.to_string(), HITS.to_string()]);
    let undisturbed = round(&mut target);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let place = location(shop.file, "sell");
    server.want(vec![log(
        "l",
        &place,
        "{o.id} {o.country} {o.price} {o.id * 2}",
    )]);
    server.wait_for_state("l", State::Bound);
    assert_eq!(round(&mut target), undisturbed, "{}", shop.file);
    let all = THREADS * HITS;
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    for event in server.wait_for_logs(usize::try_from(all).unwrap()) {
        let words: Vec<&str> = event.message.split(' ').collect();
        let id: u32 = words[0].parse().unwrap();
        let country = ["DE", "FR", "PT", "other"][id as usize % 4];
        let price: f64 = words[2].parse().unwrap();
        assert_eq!(
            (words[1], price, words[3]),
            (
                country,
                f64::from(id) * 0.25 - 10.0,
                (id * 2).to_string().as_str()
            ),
            "{} -O{level}: {event:?}",
            shop.file
        );
        *seen.entry(u64::from(id)).or_default() += 1;
    }
    let expected: BTreeMap<u64, u64> = (0..HITS).map(|id| (id, THREADS)).collect();
    assert_eq!(seen, expected, "{} -O{level}", shop.file);
    server.want(vec![]);
    let counts = server.wait_for_state("l", State::Removed).counts;
    assert_eq!((counts.hits, counts.kept), (all, all));
    assert_eq!(server.logs().len() as u64, all);
    target.assert_clean();
}

pub(crate) fn threads_are_groups_and_conditions() {
    let target = Target::spawn(&Fixture::c("orders.c").build(), ["3", "1000"]);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let place = location("orders.c", "process");
    let mut one = counter("one", &place, Some("$thread"));
    one.spec.condition = Some("$thread == \"worker-1\"".to_owned());
    let mut others = counter("others", &place, Some("$thread"));
    others.spec.condition = Some("$thread > \"worker-1\"".to_owned());
    server.want(vec![counter("by", &place, Some("$thread")), one, others]);
    let groups = |id: &str| -> BTreeMap<String, u64> {
        let mut groups = BTreeMap::new();
        for row in rows(&server, id).into_iter().filter(|row| row.count > 0) {
            *groups.entry(row.group.unwrap_or_default()).or_default() += row.count;
        }
        groups
    };
    let all = wait_until("each thread in a group", || {
        let groups = groups("by");
        (groups.len() == 3).then_some(groups)
    });
    for name in ["worker-1", "worker-2"] {
        assert!(all.contains_key(name), "{all:?}");
    }
    for (id, name) in [("one", "worker-1"), ("others", "worker-2")] {
        let found = wait_until("the thread that is meant", || {
            let groups = groups(id);
            (!groups.is_empty()).then_some(groups)
        });
        assert_eq!(found.keys().collect::<Vec<_>>(), [name], "{found:?}");
    }
    server.want(vec![]);
    server.wait_for_state("one", State::Removed);
    target.assert_clean();
}

fn round(target: &mut Target) -> String {
    target.send("go");
    target.line()
}

pub(crate) fn what_was_counted_before_the_end_arrives() {
    let program = Fixture::c("sales.c").opt('2').build();
    let mut target = Target::spawn(&program, [THREADS.to_string(), HITS.to_string()]);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    server.want(vec![counter("all", &location("sales.c", "sell"), None)]);
    server.wait_for_state("all", State::Bound);
    round(&mut target);
    target.kill();
    server.wait_for_end();
    wait_for_count(&server, "all", THREADS * HITS);
}

pub(crate) fn a_limit_of_counted_hits_ends_the_action() {
    let program = Fixture::c("sales.c").opt('2').build();
    let mut target = Target::spawn(&program, [THREADS.to_string(), HITS.to_string()]);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let mut action = counter("all", &location("sales.c", "sell"), None);
    action.spec.max_hits = Some(77);
    server.want(vec![action]);
    server.wait_for_state("all", State::Bound);
    round(&mut target);
    let status = server.wait_for_state("all", State::Done);
    assert_eq!(status.counts.kept, 77);
    wait_for_count(&server, "all", 77);
    target.assert_clean();
}

pub(crate) fn rows_go_to_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let program = Fixture::c("sales.c").opt('2').build();
    let mut target = Target::spawn(&program, [THREADS.to_string(), HITS.to_string()]);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let mut action = metric("price", &location("sales.c", "sell"), "o->price");
    action.spec.output = Output::File(path.to_str().unwrap().to_owned());
    server.want(vec![action]);
    server.wait_for_state("price", State::Bound);
    round(&mut target);
    server.want(vec![]);
    server.wait_for_state("price", State::Removed);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let LiveEvent::Metric(row) = serde_json::from_str(line).unwrap() else {
            panic!("{line}");
        };
        count += row.count;
        assert_eq!(
            (row.unit.as_str(), row.p50.is_some()),
            ("euro", row.count > 0)
        );
    }
    assert_eq!(count, THREADS * HITS);
    assert!(rows(&server, "price").is_empty());
    target.assert_clean();
}

/// A line that is passed a million times a second and more.
pub(crate) fn a_busy_line_is_paused_and_every_hit_accounted_for() {
    let program = Fixture::c("tight.c").opt('2').build();
    let target = Target::spawn(&program, [""; 0]);
    let server = Server::start();
    let _agent = server.launch(target.pid()).unwrap();
    let place = location("tight.c", "process");
    let mut unmet = counter("unmet", &place, None);
    unmet.spec.condition = Some("n < 0".to_owned());
    let mut actions = vec![
        log("log", &place, "{n}"),
        counter("counter", &place, None),
        counter("grouped", &place, Some("n % 7")),
        metric("metric", &place, "n"),
        unmet,
        // Of more hits than there will be.
        snapshot("snapshot", &place, 1_000_000_000),
    ];
    let ids = ["log", "counter", "grouped", "metric", "unmet", "snapshot"];
    for action in &mut actions {
        action.spec.rate = None;
        action.spec.ignore_quota = false;
    }
    server.want(actions);
    for id in ids {
        wait_until("a pause", || {
            let status = server.status(id)?;
            assert!(!status.state.is_final(), "{status:?}");
            (status.state == State::Paused && status.paused_until.is_some()).then_some(())
        });
    }
    server.want(vec![]);
    for id in ids {
        let counts = server.wait_for_state(id, State::Removed).counts;
        assert!(counts.hits > 0);
        assert_eq!(
            counts.hits,
            counts.kept
                + counts.condition_false
                + counts.condition_error
                + counts.rate_limited
                + counts.over_budget
                + counts.dropped,
            "{id}: {counts:?}"
        );
        match id {
            "log" => assert_eq!(server.logs().len() as u64, counts.kept),
            "snapshot" => assert_eq!(snapshots(&server, id).len() as u64, counts.kept),
            _ => drop(wait_for_count(&server, id, counts.kept)),
        }
        // The rows of its seconds say the same.
        let batches = server.batches();
        let rows = batches.iter().flat_map(|batch| &batch.coverage);
        let rows = rows.filter(|row| row.action_id == id);
        let sums = rows.fold((0, 0, 0), |sums, row| {
            let lost = row.rate_limited + row.over_budget + row.dropped;
            (sums.0 + row.hits, sums.1 + row.kept, sums.2 + lost)
        });
        let lost = counts.rate_limited + counts.over_budget + counts.dropped;
        assert_eq!(sums, (counts.hits, counts.kept, lost), "{id}");
    }
    server.detach();
    server.wait_for_end();
    target.assert_unharmed();
}
