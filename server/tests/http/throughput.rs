use std::time::Instant;

use serde_json::{Value, json};

use crate::fixture::{Server, logs, state_dir, until_done};

/// Events a second that reach the store, from two agents with batches of 1,000. Run it in release:
/// `cargo test --release -p lr-server --test http throughput -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn throughput() {
    const BATCHES: u64 = 200;
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agents: Vec<_> = ["1-1", "2-1"]
        .iter()
        .map(|process| server.register_as(&until_done(), process, process))
        .collect();
    let bodies: Vec<Vec<Value>> = agents
        .iter()
        .map(|agent| {
            let action = agent.act(&json!({}));
            (0..BATCHES)
                .map(|batch| json!({"logs": logs(&action, batch * 1000 + 1, 1000)}))
                .collect()
        })
        .collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for (agent, bodies) in agents.iter().zip(&bodies) {
            scope.spawn(move || {
                for (sequence, body) in (1..).zip(bodies) {
                    agent.send(sequence, body).ok();
                }
            });
        }
    });
    let elapsed = started.elapsed();
    let events = 2 * BATCHES * 1000;
    assert_eq!(server.rows("SELECT count(*) FROM logs"), json!([[events]]));
    println!("{:.0} events/s", events as f64 / elapsed.as_secs_f64());
}
