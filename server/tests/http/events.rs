//! Counters, metrics and snapshots: from the batch to the tables and to those who listen.

use serde_json::{Value, json};

use crate::fixture::{Agent, Server, state_dir, until_done};

/// A second of a metric: values 8, 8.5 and 100.
pub(crate) fn metric(action: &str, seq: u64, group: Option<&str>) -> Value {
    json!({
        "ts": 1_767_323_045_000_000_u64 + seq, "seq": seq, "action_id": action, "action_version": 1,
        "name": "metric:process:42", "kind": "metric", "unit": "ms", "group": group,
        "observed_ms": 1000, "count": 3, "sum": 116.5, "min": 8.0, "max": 100.0, "stop_ns": 5000,
        "hist": [{"lo": 8.0, "hi": 9.0, "n": 2}, {"lo": 96.0, "hi": 104.0, "n": 1}],
    })
}

pub(crate) fn counter(action: &str, seq: u64, count: u64) -> Value {
    json!({
        "ts": 1_767_323_045_000_000_u64 + seq, "seq": seq, "action_id": action, "action_version": 1,
        "name": "sold", "kind": "counter", "observed_ms": 1000, "count": count, "stop_ns": 0,
    })
}

pub(crate) fn snapshot(action: &str, seq: u64) -> Value {
    json!({
        "ts": 1_767_323_045_000_000_u64 + seq, "seq": seq, "action_id": action, "action_version": 1,
        "thread": "worker", "file": "src/orders.rs", "line": 42, "function": "orders::process",
        "stack_hash": "00112233445566ff", "stop_ns": 120_000,
        "snapshot": {
            "tid": 43,
            "frames": [
                {"function": "orders::process", "file": "src/orders.rs", "line": 42, "inlined": true,
                 "module": "/orders", "address": "0x5555", "variables": [
                    {"name": "order", "type": "&Order", "kind": "pointer", "value": "0x7f", "children": [
                        {"name": "id", "type": "u64", "kind": "uint", "value": "18446744073709551615"},
                        {"name": "name", "type": "String", "kind": "string", "value": "a\u{1b}[2J"},
                        {"name": "items", "type": "Vec<Item>", "kind": "sequence", "children": [
                            {"name": "0", "type": "Item", "kind": "struct", "children": [
                                {"name": "price", "type": "f64", "kind": "float", "value": "1.5"}]}]},
                        {"name": "gone", "type": "i32", "kind": "int",
                         "absent": {"reason": "optimized_out", "detail": "live at lines 12–19"}}]}]},
                {"function": "main", "file": "", "line": 0, "inlined": false, "address": "0x6666",
                 "tail_call": true},
            ],
            "watches": [{"name": "order.id * 2", "type": "u64", "kind": "uint", "value": "8"}],
            "registers": [["rax", "0x10"]],
            "threads": [{"tid": 44, "name": "poller", "frames": [
                {"function": "poll", "file": "poll.c", "line": 7, "inlined": false, "address": "0x7777"}]}],
        },
    })
}

fn world() -> (tempfile::TempDir, Server, Agent, String) {
    let (folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let action = agent.act(&json!({"kind": "metric", "expression": "n", "name": "orders"}));
    (folder, server, agent, action)
}

#[test]
fn metrics_are_rows_with_histograms() {
    let (_folder, server, agent, action) = world();
    let rows = json!([
        metric(&action, 1, None),
        metric(&action, 2, Some("de")),
        counter(&action, 3, 7)
    ]);
    agent.send(1, &json!({"metrics": rows})).ok();
    assert_eq!(
        server.rows(
            "SELECT name, kind, unit, group_key, count, sum, min, max, round(mean, 3), hist[2].n, action
             FROM metrics ORDER BY seq"
        ),
        json!([
            ["metric:process:42", "metric", "ms", null, 3, 116.5, 8.0, 100.0, 38.833, 1, "orders"],
            ["metric:process:42", "metric", "ms", "de", 3, 116.5, 8.0, 100.0, 38.833, 1, "orders"],
            ["sold", "counter", null, null, 7, null, null, null, null, null, "orders"],
        ])
    );
    assert_eq!(
        server.rows("SELECT group_key, p50, p90, p99, p999 FROM metric_percentiles ORDER BY ts"),
        // The last bucket ends beyond the largest value.
        json!([
            [null, 8.75, 100.0, 100.0, 100.0],
            ["de", 8.75, 100.0, 100.0, 100.0]
        ])
    );
    let mut without = metric(&action, 4, Some("none"));
    without["hist"] = json!([]);
    agent.send(2, &json!({"metrics": [without]})).ok();
    assert_eq!(
        server.rows("SELECT p50, p999 FROM metric_percentiles WHERE group_key = 'none'"),
        json!([[null, null]])
    );
    assert_eq!(
        server.rows("SELECT lr_quantile(flatten(list(hist)), 0.5) FROM metrics"),
        json!([[8.75]])
    );
}

#[test]
fn overhead_is_stored() {
    let (_folder, server, agent, action) = world();
    let row = json!({"ts": 1, "action_id": action, "stops": 9, "stop_ns": 900, "max_stop_ns": 200,
        "share": 0.01});
    agent.send(1, &json!({"overhead": [row]})).ok();
    assert_eq!(
        server.rows("SELECT action, stops, stop_ns, max_stop_ns, share, seq FROM overhead"),
        json!([["orders", 9, 900, 200, 0.01, 1]])
    );
}

#[test]
fn snapshots_are_frames_and_leaves_and_come_back_whole() {
    let (_folder, server, agent, action) = world();
    let sent = snapshot(&action, 5);
    agent.send(1, &json!({"snapshots": [sent]})).ok();
    let id = format!("{}-5", agent.session);
    assert_eq!(
        server.rows(
            "SELECT snapshot_id, tid, thread, line, function, stack_hash, stop_ns FROM snapshots"
        ),
        json!([[
            id,
            43,
            "worker",
            42,
            "orders::process",
            "00112233445566ff",
            120_000
        ]])
    );
    assert_eq!(
        server.rows(
            "SELECT tid, thread, frame, function, file, line, module, inlined, tail_call, guessed FROM frames ORDER BY tid, frame"
        ),
        json!([
            [43, "worker", 0, "orders::process", "src/orders.rs", 42, "/orders", true, false, false],
            [43, "worker", 1, "main", null, null, null, false, true, false],
            [44, "poller", 0, "poll", "poll.c", 7, null, false, false, false],
        ])
    );
    let most = "18446744073709551615";
    assert_eq!(
        server.rows(
            "SELECT frame, path, type, kind, text, i, u, f, reason FROM captured ORDER BY path"
        ),
        json!([
            [null, "$rax", null, "uint", "0x10", null, 16, null, null],
            [
                0, "order", "&Order", "pointer", "0x7f", null, null, null, null
            ],
            [
                0,
                "order.gone",
                "i32",
                "int",
                null,
                null,
                null,
                null,
                "optimized_out"
            ],
            [
                0,
                "order.id",
                "u64",
                "uint",
                most,
                null,
                most,
                18446744073709551615.0,
                null
            ],
            [null, "order.id * 2", "u64", "uint", "8", 8, 8, 8.0, null],
            [
                0,
                "order.items[0].price",
                "f64",
                "float",
                "1.5",
                null,
                null,
                1.5,
                null
            ],
            [
                0,
                "order.name",
                "String",
                "string",
                "a\u{1b}[2J",
                null,
                null,
                null,
                null
            ],
        ])
    );
    let shown = server.api.get(&format!("/api/v1/snapshots/{id}")).ok();
    assert_eq!(
        (&shown["id"], &shown["thread"], &shown["pid"]),
        (&json!(id), &json!("worker"), &json!(42))
    );
    for part in ["tid", "watches", "registers"] {
        assert_eq!(shown[part], sent["snapshot"][part], "{part}");
    }
    let variables = &shown["frames"][0]["variables"];
    assert_eq!(*variables, sent["snapshot"]["frames"][0]["variables"]);
    for id in ["nobody", "nobody-1", "a-b", "x-99999999999999999999"] {
        let path = format!("/api/v1/snapshots/{id}");
        assert_eq!(server.api.get(&path).code(), "not_found");
    }
}

#[test]
fn they_are_told_live_and_replayed_alike() {
    let (_folder, server, agent, action) = world();
    let mut live = server.api.live("action=orders");
    let now = jiff::Timestamp::now().as_microsecond();
    let mut events = [
        snapshot(&action, 1),
        metric(&action, 2, Some("de")),
        counter(&action, 3, 0),
    ];
    for (number, event) in events.iter_mut().enumerate() {
        event["ts"] = json!(now + i64::try_from(number).unwrap());
    }
    let [snapshot, metric, counter] = events;
    agent
        .send(
            1,
            &json!({"snapshots": [snapshot], "metrics": [metric, counter]}),
        )
        .ok();
    let told: Vec<Value> = (0..3).map(|_| live.next().unwrap()).collect();
    let words: Vec<_> = told
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["snapshot", "metric", "metric"]);
    assert_eq!(told[0]["id"], format!("{}-1", agent.session));
    assert_eq!(told[0]["frames"][0]["function"], "orders::process");
    let numbers = |event: &Value| {
        ["group", "count", "sum", "min", "max", "p50", "p99"].map(|name| event[name].clone())
    };
    let expected = json!(["de", 3, 116.5, 8.0, 100.0, 8.75, 100.0]);
    assert_eq!(json!(numbers(&told[1])), expected);
    assert_eq!(
        json!(numbers(&told[2])),
        json!([null, 0, null, null, null, null, null])
    );
    // What was told live is what a replay tells, and what comes then is not told twice.
    let mut replayed = server.api.live("action=orders&since_s=300");
    for event in &told {
        assert_eq!(replayed.next().unwrap(), *event);
    }
    let mut next = counter;
    next["seq"] = json!(4);
    agent.send(2, &json!({"metrics": [next]})).ok();
    assert_eq!(replayed.next().unwrap()["type"], "metric");
    assert_eq!(server.rows("SELECT count(*) FROM metrics"), json!([[3]]));
}

#[test]
fn a_giant_snapshot_is_refused_and_counted_and_the_rest_stored() {
    let (_folder, server, agent, action) = world();
    let mut giant = snapshot(&action, 1);
    giant["snapshot"]["watches"][0]["value"] = json!("x".repeat(700 << 10));
    agent
        .send(1, &json!({"snapshots": [giant, snapshot(&action, 2)]}))
        .ok();
    assert_eq!(server.rows("SELECT seq FROM snapshots"), json!([[2]]));
    assert_eq!(
        server.rows("SELECT reason, count, action FROM losses"),
        json!([["too_large", 1, "orders"]])
    );
    // A tree that is too deep to be read is not read, and the connection lives.
    let mut deep = json!({"name": "x", "kind": "int", "value": "1"});
    for _ in 0..100 {
        deep = json!({"name": "x", "kind": "struct", "children": [deep]});
    }
    let mut event = snapshot(&action, 3);
    event["snapshot"]["watches"] = json!([deep]);
    assert_eq!(
        agent.send(2, &json!({"snapshots": [event]})).code(),
        "bad_request"
    );
    agent
        .send(2, &json!({"snapshots": [snapshot(&action, 4)]}))
        .ok();
}

#[test]
fn a_batch_of_a_hundred_thousand_leaves() {
    let (_folder, server, agent, action) = world();
    let leaves: Vec<Value> = (0..10_000)
        .map(|i| json!({"name": i.to_string(), "kind": "int", "value": "7"}))
        .collect();
    let snapshots: Vec<Value> = (1..=10)
        .map(|seq| {
            let mut event = snapshot(&action, seq);
            event["snapshot"]["watches"] =
                json!([{"name": "a", "kind": "array", "children": leaves}]);
            event
        })
        .collect();
    agent.send(1, &json!({"snapshots": snapshots})).ok();
    assert_eq!(
        server.rows("SELECT count(*), sum(i)::BIGINT FROM captured WHERE starts_with(path, 'a[')"),
        json!([[100_000, 700_000]])
    );
}

#[test]
fn a_clock_that_jumps_is_stored_as_it_was() {
    let (_folder, server, agent, action) = world();
    let mut rows = [
        counter(&action, 1, 1),
        counter(&action, 2, 1),
        counter(&action, 3, 1),
    ];
    rows[0]["ts"] = json!(0);
    rows[1]["ts"] = json!(253_402_300_799_999_999_i64);
    agent.send(1, &json!({"metrics": rows})).ok();
    assert_eq!(
        server.rows("SELECT year(ts) FROM metrics ORDER BY seq"),
        json!([[1970], [9999], [2026]])
    );
    assert_eq!(
        server.rows(
            "SELECT count(*) FROM metrics WHERE recv_ts BETWEEN now() - INTERVAL 1 HOUR AND now()"
        ),
        json!([[3]])
    );
    for ts in [-1, i64::MAX] {
        let mut row = counter(&action, 4, 1);
        row["ts"] = json!(ts);
        assert_eq!(
            agent.send(2, &json!({"metrics": [row]})).code(),
            "bad_request"
        );
    }
}
