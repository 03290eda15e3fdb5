//! Actions as clients change them.

use serde_json::{Value, json};

use crate::client::wait_for;
use crate::fixture::{Server, logs, state_dir, until_done};

fn change(server: &Server, method: &str, path: &str, body: &Value) -> crate::client::Response {
    let path = format!("/api/v1/actions/{path}");
    server
        .api
        .send(method, &path, &[], body.to_string().as_bytes())
}

#[test]
fn two_clients_edit_one_action_and_one_of_them_is_told() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let id = agent.act(&json!({"name": "orders"}));
    agent.report(1, &id, "bound").ok();
    let edit = |version: u32, template: &str| {
        let edit = json!({"version": version, "kind": "log", "location": "orders.rs:42",
            "template": template});
        change(&server, "PUT", &id, &edit)
    };
    assert_eq!(edit(1, "first").ok()["version"], 2);
    let refused = edit(1, "second");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (409, "version_conflict")
    );
    assert_eq!(edit(2, "second").ok()["version"], 3);
    let wanted = agent.wanted(0);
    assert_eq!(wanted["actions"][0]["version"], 3);
    assert_eq!(wanted["actions"][0]["spec"]["template"], "second");
    assert_eq!(
        server.rows("SELECT action_version, template FROM action_versions ORDER BY action_version"),
        json!([[1, "id={id}"], [2, "first"], [3, "second"]])
    );
    assert_eq!(
        server.rows("SELECT action_version, template FROM actions"),
        json!([[3, "second"]])
    );
}

#[test]
fn an_agent_that_waits_hears_of_each_change() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let id = agent.act(&json!({"kind": "snapshot"}));
    let mut revision = 0;
    let mut next = |change: &dyn Fn()| {
        let waiting = {
            let agent = agent.clone();
            let now = revision;
            std::thread::spawn(move || agent.wanted(now))
        };
        change();
        let mut wanted = waiting.join().unwrap();
        revision = wanted["revision"].as_u64().unwrap();
        wanted["actions"].take()
    };
    let first = next(&|| {});
    assert_eq!(
        (
            &first[0]["version"],
            &first[0]["enabled"],
            &first[0]["hits_left"]
        ),
        (&json!(1), &json!(true), &json!(1))
    );
    let post = |what: &str| {
        change(&server, "POST", &format!("{id}/{what}"), &json!({})).ok();
    };
    assert_eq!(next(&|| post("disable"))[0]["enabled"], false);
    assert_eq!(next(&|| post("enable"))[0]["enabled"], true);
    assert_eq!(next(&|| post("retake"))[0]["version"], 2);
    let copies = next(&|| post("duplicate"));
    assert_eq!(copies.as_array().unwrap().len(), 2);
    let stopped = next(&|| {
        let stopped = server.api.post("/api/v1/actions/stop", &json!({})).ok();
        assert_eq!(stopped["actions"].as_array().unwrap().len(), 2);
    });
    assert_eq!(stopped, json!([]));
    for what in ["retake", "enable", "disable"] {
        let refused = change(&server, "POST", &format!("{id}/{what}"), &json!({}));
        assert_eq!(refused.code(), "action_ended", "{what}");
    }
}

#[test]
fn a_restart_forgets_neither_versions_nor_what_was_switched_off() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let id = agent.act(&json!({}));
    let removed = agent.act(&json!({"name": "removed"}));
    change(&server, "POST", &format!("{id}/retake"), &json!({})).ok();
    change(&server, "POST", &format!("{id}/disable"), &json!({})).ok();
    server
        .api
        .delete(&format!("/api/v1/actions/{removed}"))
        .ok();
    server.signal(nix::sys::signal::Signal::SIGKILL);
    server.wait();
    let _server = Server::start(&dir);
    let wanted = agent.wanted(0)["actions"].take();
    assert_eq!(
        wanted.as_array().unwrap().len(),
        1,
        "what was removed is not wanted again"
    );
    assert_eq!(
        (
            &wanted[0]["action_id"],
            &wanted[0]["version"],
            &wanted[0]["enabled"]
        ),
        (&json!(id), &json!(2), &json!(false))
    );
}

#[test]
fn hits_are_shared_by_all_agents_of_a_tag() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let mut new = crate::fixture::registration(&until_done(), "one", "1-1");
    new["tags"] = json!({"env": "test"});
    let agents: Vec<_> = ["1-1", "2-1"]
        .into_iter()
        .map(|process| {
            new["process"]["process_id"] = json!(process);
            let registered = server.api.post("/api/v1/agents", &new).ok();
            crate::fixture::Agent {
                api: server.api.clone(),
                id: registered["agent_id"].as_str().unwrap().to_owned(),
                session: registered["session"].as_str().unwrap().to_owned(),
            }
        })
        .collect();
    let id =
        agents[0].act(&json!({"kind": "counter", "target": {"tag": "env=test"}, "max_hits": 10}));
    let status = json!({"agent_id": agents[0].id, "action_id": id, "action_version": 1,
        "state": "hit", "updated_at": 1, "counts": {"hits": 9, "condition_false": 2, "kept": 7,
        "condition_error": 0, "rate_limited": 0, "over_budget": 0, "dropped": 0}});
    agents[0].send(1, &json!({"statuses": [status]})).ok();
    assert_eq!(agents[1].wanted(0)["actions"][0]["hits_left"], 3);
    // An agent that dies has sent more than its last status says.
    let row = json!({"ts": 1, "seq": 1, "action_id": id, "action_version": 1, "name": "n",
        "kind": "counter", "observed_ms": 1, "count": 9, "stop_ns": 0});
    agents[0].send(2, &json!({"metrics": [row]})).ok();
    assert_eq!(agents[1].wanted(0)["actions"][0]["hits_left"], 1);
    // A new version begins anew.
    change(&server, "POST", &format!("{id}/retake"), &json!({})).ok();
    assert_eq!(agents[1].wanted(0)["actions"][0]["hits_left"], 10);
}

#[test]
fn what_is_told_as_done_can_be_queried() {
    const EVENTS: u64 = 2000;
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&json!("until_detached"));
    for round in 0..10_u64 {
        let id = agent.act(&json!({"name": format!("round-{round}")}));
        let batch = json!({
            "logs": logs(&id, round * EVENTS + 1, EVENTS),
            "statuses": [{"agent_id": agent.id, "action_id": id, "action_version": 1,
                "state": "done", "updated_at": 1}],
        });
        std::thread::scope(|scope| {
            scope.spawn(|| agent.send(round + 1, &batch).ok());
            wait_for("the action to be done", || {
                let action = server.api.get(&format!("/api/v1/actions/{id}")).ok();
                (action["statuses"][0]["state"] == "done").then_some(())
            });
            assert_eq!(
                server.rows(&format!(
                    "SELECT count(*) FROM logs WHERE action_id = '{id}'"
                )),
                json!([[EVENTS]])
            );
        });
    }
}

#[test]
fn every_state_is_shown_with_its_counts_and_its_last_error() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let shown = |id: &str| {
        let action = server.api.get(&format!("/api/v1/actions/{id}")).ok();
        action["statuses"][0].clone()
    };
    let id = agent.act(&json!({}));
    assert_eq!(shown(&id)["state"], "submitted");
    assert_eq!(shown(&id)["counts"]["hits"], 0);
    agent.wanted(0);
    assert_eq!(shown(&id)["state"], "delivered");
    let counts = json!({"hits": 21, "condition_false": 1, "condition_error": 2, "rate_limited": 3,
        "over_budget": 4, "dropped": 5, "kept": 6});
    let error = json!({"code": "no_such_line", "refers_to": "location",
        "message": "line 7 has no code", "suggestions": ["line 8"]});
    let others = [
        "verified", "pending", "bound", "hit", "paused", "done", "expired", "disabled", "removed",
        "gone", "error",
    ];
    for (sequence, state) in (1..).zip(others) {
        let id = agent.act(&json!({}));
        let mut status = json!({"agent_id": agent.id, "action_id": id, "action_version": 1,
            "state": state, "updated_at": 1, "counts": counts, "warnings": ["one place is left out"]});
        match state {
            "paused" => status["paused_until"] = json!(2_000_000_000_000_000_i64),
            "error" => status["error"] = error.clone(),
            _ => {}
        }
        agent.send(sequence, &json!({"statuses": [status]})).ok();
        let shown = shown(&id);
        assert_eq!(shown["state"], state);
        assert_eq!(shown["counts"], counts);
        assert_eq!(shown["warnings"], status["warnings"]);
        assert_eq!(shown["paused_until"], status["paused_until"]);
        assert_eq!(shown["error"], status["error"]);
        assert_eq!(
            server.rows(&format!(
                "SELECT state, hits, kept, dropped FROM action_states WHERE action_id = '{id}'"
            )),
            json!([[state, 21, 6, 5]])
        );
    }
}
