use std::time::{Duration, Instant};

use serde_json::json;

use crate::fixture::{Server, logs, state_dir, until_done};

#[test]
fn results_come_as_json_and_csv() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let query = |body: serde_json::Value| server.api.post("/api/v1/query", &body);
    let sql = "SELECT 'a,\"b\"' AS text, $n::INT AS n, NULL AS nothing, '' AS empty";
    let result = query(json!({"sql": sql, "params": {"n": "5"}})).ok();
    assert_eq!(
        result["columns"][1],
        json!({"name": "n", "type": "INTEGER"})
    );
    assert_eq!(result["rows"], json!([["a,\"b\"", 5, null, ""]]));
    assert_eq!(result["truncated"], false);
    let csv = query(json!({"sql": sql, "params": {"n": "5"}, "format": "csv"}));
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(
        csv.body,
        "text,n,nothing,empty\r\n\"a,\"\"b\"\"\",5,,\"\"\r\n"
    );
    let cut = query(json!({"sql": "FROM range(10)", "max_rows": 3, "format": "csv"}));
    assert_eq!(cut.header("lr-truncated"), Some("true"));
}

#[test]
fn hostile_queries_are_refused() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    for sql in [
        "",
        "SELECT 1; SELECT 2",
        "COPY logs TO '/tmp/lr-test-never.csv'",
        "ATTACH '/tmp/lr-test-never.duckdb'",
        "INSTALL httpfs",
        "PRAGMA database_list",
        "FROM read_csv('/etc/passwd')",
        "FROM '/etc/passwd'",
        "SELECT getenv('HOME')",
        "INSERT INTO store.logs DEFAULT VALUES",
        "DROP VIEW logs",
        "SET memory_limit = '100GB'",
        "CREATE TABLE t(a INT)",
    ] {
        let refused = server.api.post("/api/v1/query", &json!({"sql": sql}));
        assert_eq!(
            (refused.status, refused.code()),
            (400, "bad_query".to_owned()),
            "{sql}"
        );
    }
    let error = server.api.post(
        "/api/v1/query",
        &json!({"sql": "SELECT\n nothing FROM logs"}),
    );
    assert!(
        error.json()["detail"].as_str().unwrap().contains("nothing"),
        "{error:?}"
    );
    assert_eq!(server.rows("SELECT count(*) FROM logs"), json!([[0]]));
}

#[test]
fn a_heavy_query_does_not_hold_up_ingest() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let agent = server.register(&until_done());
    let action = agent.act(&json!({}));
    let heavy: Vec<_> = (0..4)
        .map(|_| {
            let api = server.api.clone();
            let sql = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c";
            std::thread::spawn(move || {
                api.try_send(
                    "POST",
                    "/api/v1/query",
                    &[],
                    json!({"sql": sql}).to_string().as_bytes(),
                )
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for sequence in 1..=20 {
        let started = Instant::now();
        agent
            .send(
                sequence,
                &json!({"logs": logs(&action, sequence * 100, 100)}),
            )
            .ok();
        slowest = slowest.max(started.elapsed());
    }
    // Held up, the first would wait for most of the 30 s that the queries may run.
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
    server.api.post("/api/v1/server/stop", &json!({})).ok();
    for query in heavy {
        // Cut off when the server stopped, or not even begun.
        if let Ok(answer) = query.join().unwrap() {
            assert!(["query_cut", "server_busy"].contains(&answer.code().as_str()));
        }
    }
    assert_eq!(server.wait().code(), Some(0));
}
