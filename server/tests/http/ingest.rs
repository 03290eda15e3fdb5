use nix::sys::signal::Signal;
use serde_json::json;

use crate::fixture::{Server, logs, registration, state_dir, until_done};

#[test]
fn a_batch_is_stored_once_and_before_it_is_answered() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let action = agent.act(&json!({"name": "orders"}));
    let batch = json!({
        "logs": logs(&action, 1, 3),
        "coverage": [{"ts": 1, "action_id": action, "action_version": 1, "observed_ms": 1000, "hits": 5,
            "matched": 4, "kept": 3, "rate_limited": 1, "over_budget": 0, "dropped": 0}],
        "losses": [{"ts": 1, "action_id": action, "reason": "ring_full", "count": 7}],
    });
    let accepted = agent.send(1, &batch).ok();
    // The answer has been seen, so whatever happens now, the rows are there.
    server.signal(Signal::SIGKILL);
    server.wait();

    let server = Server::start(&dir);
    assert_eq!(accepted, json!({"sequence": 1, "duplicate": false}));
    assert_eq!(
        agent.send(1, &batch).ok(),
        json!({"sequence": 1, "duplicate": true})
    );
    assert_eq!(
        agent.send(2, &json!({"logs": logs(&action, 4, 1)})).ok()["duplicate"],
        false
    );
    assert_eq!(
        server.rows("SELECT seq, action, message FROM logs ORDER BY seq"),
        json!([
            [1, "orders", "id=1"],
            [2, "orders", "id=2"],
            [3, "orders", "id=3"],
            [4, "orders", "id=4"],
        ])
    );
    assert_eq!(
        server.rows("SELECT hits, kept FROM coverage"),
        json!([[5, 3]])
    );
    assert_eq!(
        server.rows("SELECT reason, count FROM losses"),
        json!([["ring_full", 7]])
    );
}

#[test]
fn agents_and_actions_survive_a_restart() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let action = agent.act(&json!({}));
    agent.report(1, &action, "bound").ok();
    let before = agent.wanted(0);
    server.signal(Signal::SIGKILL);
    server.wait();

    let _server = Server::start(&dir);
    let after = agent.wanted(before["revision"].as_u64().unwrap());
    assert_ne!(
        after["revision"], before["revision"],
        "an agent that waits is answered anew"
    );
    assert_eq!(after["actions"][0]["action_id"], *action);
    let known = agent.api.get(&format!("/api/v1/actions/{action}")).ok();
    assert_eq!(known["statuses"][0]["state"], "bound");
}

#[test]
fn unknown_agents_and_sessions_have_to_register_again() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let mut agent = server.register(&until_done());
    agent.session = "other".to_owned();
    assert_eq!(agent.send(1, &json!({})).code(), "unknown_session");
    agent.id = "nobody".to_owned();
    assert_eq!(agent.send(1, &json!({})).code(), "unknown_session");
    assert_eq!(
        agent.api.get("/api/v1/agents/nobody/wanted").code(),
        "unknown_session"
    );
}

#[test]
fn the_wanted_set_is_awaited_until_there_is_another() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let empty = agent.wanted(0);
    assert_eq!(empty["actions"], json!([]));
    let waiting = {
        let agent = agent.clone();
        let revision = empty["revision"].as_u64().unwrap();
        std::thread::spawn(move || agent.wanted(revision))
    };
    let action = agent.act(&json!({"max_hits": 10}));
    let wanted = waiting.join().unwrap();
    assert_eq!(wanted["actions"][0]["action_id"], *action);
    assert_eq!(wanted["actions"][0]["hits_left"], 10);
    assert_eq!(wanted["actions"][0]["spec"]["location"], "orders.rs:42");
}

#[test]
fn fields_come_back_typed() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let action = agent.act(&json!({}));
    let mut batch = json!({"logs": logs(&action, 1, 1)});
    batch["logs"][0]["fields"] = json!([
        {"name": "$pid", "type": "unsigned", "value": {"u": 18446744073709551615_u64}},
        {"name": "o.id", "type": "int", "value": {"i": -1}},
        {"name": "m[\"k\"]", "type": "double", "value": {"f": 1.5}},
        {"name": "nan", "type": "float", "value": {"f": "NaN"}},
        {"name": "ok", "type": "bool", "value": {"b": true}},
        {"name": "name", "type": "char *", "value": {"s": "b\"o\nb"}},
        {"name": "gone", "type": "long", "value": {"absent": {"reason": "optimized_out"}}},
    ]);
    agent.send(1, &batch).ok();
    let big = "18446744073709551615";
    assert_eq!(
        server.rows("SELECT name, type, text, i, u, f, b FROM log_fields"),
        json!([
            [
                "$pid",
                "unsigned",
                big,
                null,
                big,
                18446744073709551615.0,
                null
            ],
            ["o.id", "int", "-1", -1, null, -1.0, null],
            ["m[\"k\"]", "double", "1.5", null, null, 1.5, null],
            ["nan", "float", "NaN", null, null, "NaN", null],
            ["ok", "bool", "true", null, null, null, true],
            ["name", "char *", "b\"o\nb", null, null, null, null],
            ["gone", "long", null, null, null, null, null],
        ])
    );
    assert_eq!(
        server.rows("SELECT fields ->> 'name' FROM logs"),
        json!([["b\"o\nb"]])
    );
}

#[test]
fn bad_requests_are_problems() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let api = &server.api;
    let agent = server.register(&until_done());
    let batches = format!("/api/v1/agents/{}/batches", agent.id);
    assert_eq!(api.get("/api/v1/nothing").code(), "not_found");
    assert_eq!(api.get("/nothing").code(), "not_found");
    assert_eq!(
        api.send("PUT", "/api/v1/actions", &[], b"").code(),
        "method_not_allowed"
    );
    assert_eq!(
        api.send("POST", "/api/v1/actions", &[], b"{").code(),
        "bad_request"
    );
    assert_eq!(
        api.send("POST", "/api/v1/query", &[], b"{\"sql\": \"\xff\"}")
            .code(),
        "bad_request"
    );
    assert_eq!(api.get("/api/v1/agents?all=perhaps").code(), "bad_request");
    assert_eq!(api.get("/api/v1/actions/nobody").code(), "not_found");
    assert_eq!(api.delete("/api/v1/actions/nobody").code(), "not_found");
    assert_eq!(agent.send(0, &json!({})).code(), "bad_request");
    let late = json!({"losses": [{"ts": i64::MAX, "reason": "x", "count": 1}]});
    assert_eq!(agent.send(1, &late).code(), "bad_request");
    let mut old = registration(&until_done(), "x", "9-9");
    old["protocol_version"] = json!(0);
    assert_eq!(api.post("/api/v1/agents", &old).code(), "protocol_mismatch");
    // A batch may be larger than a query, and not as large as it likes.
    let padding = " ".repeat(2 << 20);
    let large = format!(
        "{{\"session\":\"{}\",\"sequence\":1,\"sent_at\":0}}{padding}",
        agent.session
    );
    assert_eq!(
        api.send("POST", &batches, &[], large.as_bytes()).status,
        200
    );
    assert_eq!(
        api.send("POST", "/api/v1/query", &[], large.as_bytes())
            .code(),
        "too_large"
    );
    let larger = vec![b' '; (8 << 20) + 1];
    assert_eq!(api.send("POST", &batches, &[], &larger).code(), "too_large");
}

#[test]
fn an_agent_that_dies_is_ended_for_it() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let mut child = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let mut new = registration(&until_done(), "orders", "42-1");
    new["agent_pid"] = json!(child.id());
    let registered = server.api.post("/api/v1/agents", &new).ok();
    let agent = registered["agent_id"].as_str().unwrap();
    let mut live = server.api.live(&format!("agent={agent}"));
    child.kill().unwrap();
    child.wait().unwrap();
    let end = live.until(|event| event["type"] == "end");
    assert_eq!(end["reason"], "failed");
    assert_eq!(
        server.rows("SELECT state, end_reason FROM agents"),
        json!([["ended", "failed"]])
    );
}
