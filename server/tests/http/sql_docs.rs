use serde_json::{Value, json};

use crate::events::{counter, metric, snapshot};
use crate::fixture::{Server, logs, state_dir, until_done};

const DOCS: &str = include_str!("../../../docs/sql.md");

/// A server that has seen one of everything.
fn filled(server: &Server) {
    let agent = server.register(&until_done());
    let action = agent.act(&json!({"name": "orders"}));
    let counts = json!({"observed_ms": 1000, "hits": 5, "matched": 4, "kept": 3, "rate_limited": 1,
        "over_budget": 0, "dropped": 0, "ts": 1, "action_id": action, "action_version": 1});
    agent
        .send(
            1,
            &json!({
                "logs": logs(&action, 1, 3), "coverage": [counts],
                "losses": [{"ts": 1, "action_id": action, "reason": "ring_full", "count": 7}],
                "metrics": [metric(&action, 4, Some("de")), counter(&action, 5, 7)],
                "snapshots": [snapshot(&action, 6)],
                "overhead": [{"ts": 1, "action_id": action, "stops": 9, "stop_ns": 900,
                    "max_stop_ns": 200, "share": 0.01}],
            }),
        )
        .ok();
}

/// The rows of the table under the heading of a view: name and explanation of each column.
fn documented(view: &str) -> Vec<(String, String)> {
    let heading = format!("\n## `{view}`\n");
    let start = DOCS
        .find(&heading)
        .unwrap_or_else(|| panic!("{view} is not described"));
    let section = &DOCS[start + heading.len()..];
    let section = section.split("\n## ").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` |"))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect()
}

#[test]
fn every_column_of_every_table_is_described() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    let columns = server.rows(
        "SELECT table_name, list(column_name ORDER BY column_index), list(data_type ORDER BY column_index) \
         FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal GROUP BY ALL",
    );
    let names = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    let views = columns.as_array().unwrap();
    assert!(views.len() >= 16, "{views:?}");
    for view in views {
        let name = view[0].as_str().unwrap();
        let documented = documented(name);
        let described: Vec<&String> = documented.iter().map(|(column, _)| column).collect();
        let actual = names(&view[1]);
        assert_eq!(
            described,
            actual.iter().collect::<Vec<_>>(),
            "columns of {name}"
        );
        for ((column, rest), data_type) in documented.iter().zip(names(&view[2])) {
            let short = data_type.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ");
            assert!(
                rest.trim_start().starts_with(&short),
                "{name}.{column} is {short}, not {rest}"
            );
            let explanation = rest.split('|').nth(1).unwrap_or_default().trim();
            assert!(
                !explanation.is_empty(),
                "{name}.{column} has no explanation"
            );
        }
    }
}

#[test]
fn the_examples_run() {
    let (_folder, dir) = state_dir();
    let server = Server::start(&dir);
    filled(&server);
    let examples: Vec<&str> = DOCS
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(examples.len() >= 6, "{}", examples.len());
    for sql in examples {
        let params = json!({"id": "1", "action": "orders"});
        let result = server
            .api
            .post("/api/v1/query", &json!({"sql": sql, "params": params}));
        assert_eq!(result.status, 200, "{sql}\n{}", result.body);
        let rows = result.ok()["rows"].take();
        let may_be_empty = sql.contains("now()") || sql.contains("state = 'error'");
        assert!(may_be_empty || rows != json!([]), "{sql} shows nothing");
    }
}
