use serde_json::{Value, json};

use crate::fixture::{Server, logs, state_dir, until_done};

#[test]
fn events_come_in_order_and_after_the_commit() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let action = agent.act(&json!({"name": "slow"}));
    let mut by_name = server.api.live("action=slow&agent=orders");
    let mut by_pid = server.api.live("agent=42");
    let mut other = server.api.live("agent=other");
    for batch in 0..3 {
        agent
            .send(
                batch + 1,
                &json!({"logs": logs(&action, batch * 100 + 1, 100)}),
            )
            .ok();
    }
    for live in [&mut by_name, &mut by_pid] {
        for seq in 1..=300 {
            let event = live.next().unwrap();
            assert_eq!(event["message"], format!("id={seq}"));
            if seq == 1 {
                assert_eq!(
                    server.rows("SELECT count(*) FROM logs WHERE seq = 1"),
                    json!([[1]])
                );
                assert_eq!(
                    event,
                    json!({
                        "type": "log", "ts": "2026-01-02T03:04:05.000001Z", "agent": agent.id,
                        "process": "42-1", "action": action, "pid": 42, "tid": 43, "thread": "worker",
                        "file": "src/orders.rs", "line": 42, "function": "orders::process",
                        "level": "info", "message": "id=1", "fields": {"id": 1, "customer": "bob"},
                    })
                );
            }
        }
    }
    // Had it got any of those, they would come before this.
    let second = server.register_as(&until_done(), "other", "43-1");
    let action = second.act(&json!({}));
    assert_eq!(other.next().unwrap()["action"], *action);
}

#[test]
fn a_replay_meets_the_live_stream_without_gap_or_repetition() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let action = agent.act(&json!({}));
    let now = jiff::Timestamp::now().as_microsecond();
    let send = move |agent: &crate::fixture::Agent, sequence: u64| {
        let mut logs = logs(&action, sequence * 10, 10);
        for log in logs.as_array_mut().unwrap() {
            log["ts"] = json!(now + log["seq"].as_i64().unwrap());
        }
        agent.send(sequence, &json!({"logs": logs})).ok();
    };
    for sequence in 1..=5 {
        send(&agent, sequence);
    }
    let sender = {
        let agent = agent.clone();
        std::thread::spawn(move || (6..=40).for_each(|sequence| send(&agent, sequence)))
    };
    let mut live = server.api.live(&format!("agent={}&since_s=300", agent.id));
    for seq in 10..410 {
        let event = live.until(|event| event["type"] == "log");
        assert_eq!(event["message"], format!("id={seq}"));
    }
    sender.join().unwrap();
}

#[test]
fn a_slow_reader_is_told_what_it_missed_and_costs_others_nothing() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let action = agent.act(&json!({}));
    let mut slow = server.api.live(&format!("agent={}", agent.id));
    let mut total = 0;
    // More than the socket's buffers and the queue hold.
    for sequence in 1..=40 {
        agent
            .send(sequence, &json!({"logs": logs(&action, total + 1, 1000)}))
            .ok();
        total += 1000;
    }
    let end = json!({"ts": 5, "reason": "exited", "message": "exited", "restored": 0});
    agent.send(41, &json!({"end": end})).ok();
    let mut read = 0;
    let mut missed = 0;
    loop {
        let event: Value = slow.next().unwrap();
        match event["type"].as_str().unwrap() {
            "log" => read += 1,
            "loss" => {
                assert_eq!(event["reason"], "slow_client");
                missed += event["count"].as_u64().unwrap();
            }
            "end" => break,
            _ => {}
        }
    }
    assert!(missed > 0);
    assert_eq!(read + missed, total);
    assert_eq!(server.rows("SELECT count(*) FROM logs"), json!([[total]]));
}
