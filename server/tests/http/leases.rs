use serde_json::json;

use crate::client::wait_for;
use crate::fixture::{Server, state_dir};

#[test]
fn actions_go_with_the_stream_of_their_lease() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let live = server.api.live("lease=mine");
    let agent = server.register(&json!({"lease": "mine"}));
    let action = agent.act(&json!({"lease": "mine"}));
    let wanted = agent.wanted(0);
    assert_eq!(
        (
            &wanted["detach"],
            wanted["actions"].as_array().unwrap().len()
        ),
        (&json!(false), 1)
    );
    assert_eq!(server.api.get("/api/v1/server").ok()["leases"], 1);
    drop(live);
    let mut revision = wanted["revision"].as_u64().unwrap();
    let wanted = wait_for("the detachment", || {
        let wanted = agent.wanted(revision);
        revision = wanted["revision"].as_u64().unwrap();
        (wanted["detach"] == true).then_some(wanted)
    });
    assert_eq!(wanted["actions"], json!([]));
    agent.report(1, &action, "removed").ok();
    let known = server.api.get(&format!("/api/v1/actions/{action}")).ok();
    assert_eq!(known["statuses"][0]["state"], "removed");
}

#[test]
fn a_lease_given_up_still_hears_the_end() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let mut live = server.api.live("lease=mine");
    let agent = server.register(&json!({"lease": "mine"}));
    let action = agent.act(&json!({"lease": "mine"}));
    agent.report(1, &action, "bound").ok();
    server.api.delete("/api/v1/leases/mine").ok();
    assert_eq!(agent.wanted(0)["detach"], true);
    let end = json!({"ts": 5, "reason": "detached", "message": "detached", "restored": 1});
    agent.send(2, &json!({"end": end})).ok();
    live.until(|event| event["type"] == "state" && event["state"] == "removed");
    let end = live.until(|event| event["type"] == "end");
    assert_eq!(end["agent"], *agent.id);
    let late = server.api.post("/api/v1/actions", &json!({
        "kind": "log", "location": "a.c:1", "template": "x", "target": {"tag": "a=b"}, "lease": "mine",
    }));
    assert_eq!(late.code(), "bad_request");
}

#[test]
fn a_lease_does_not_hear_of_others() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let mut live = server.api.live("lease=mine");
    let agent = server.register(&json!("until_done"));
    let other = agent.act(&json!({"lease": "other"}));
    let mine = agent.act(&json!({"lease": "mine"}));
    agent.report(1, &other, "bound").ok();
    agent.report(2, &mine, "bound").ok();
    let states: Vec<_> = (0..2).map(|_| live.next().unwrap()).collect();
    assert!(
        states.iter().all(|state| state["action"] == *mine),
        "{states:?}"
    );
}
