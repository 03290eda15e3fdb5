//! What was printed is stored, and SQL answers.

use std::process::Command;

use lr_fixtures::{Fixture, Target, location};
use serde_json::{Value, json};

use crate::world::World;

fn world_with_logs(hits: &str) -> World {
    let world = World::new();
    let target = Target::spawn(&Fixture::c("orders.c").build(), ["2", "500"]);
    let line = location("orders.c", "process");
    let template = "id={o.id} seq={o.sequence} total={o.total} name={o.name} express={o.express}";
    let more = [
        "--hits",
        hits,
        "--name",
        "sold",
        "--rate",
        "1000",
        "--ignore-quota",
    ];
    world.attach(&target, &line, template, &more).ended().done();
    world
}

#[test]
fn rows_have_what_the_program_had() {
    let world = world_with_logs("20");
    let rows = world.sql("SELECT name, type, i, u, f, b, text FROM log_fields ORDER BY ts");
    assert_eq!(rows.len(), 100);
    let of = |name: &str| {
        rows.iter()
            .filter(|row| row["name"] == name)
            .collect::<Vec<_>>()
    };
    for row in of("id") {
        assert_eq!(row["type"], "int", "{row}");
        assert!(row["i"].as_i64().unwrap() >= 0, "{row}");
    }
    for row in of("seq") {
        // Beyond 2^53: exact in the database, and a string in JSON.
        let text = row["u"].as_str().unwrap_or_else(|| panic!("{row}"));
        assert!(text.parse::<u64>().unwrap() > 1 << 53, "{row}");
    }
    for row in of("total") {
        assert!(row["f"].is_f64() || row["f"].is_i64(), "{row}");
    }
    for row in of("name") {
        assert!(
            ["widget", "gadget"].contains(&row["text"].as_str().unwrap()),
            "{row}"
        );
    }
    for row in of("express") {
        assert!(row["b"].is_boolean(), "{row}");
    }
}

#[test]
fn the_tables_have_their_columns() {
    let world = world_with_logs("2");
    let common = [
        "ts",
        "recv_ts",
        "session",
        "seq",
        "pool",
        "agent_id",
        "process_id",
        "action_id",
        "action",
        "action_version",
    ];
    let logs = [
        "log_id", "tid", "thread", "file", "line", "function", "level", "message", "fields",
    ];
    let columns = |table: &str| -> Vec<String> {
        world
            .sql(&format!("DESCRIBE {table}"))
            .iter()
            .map(|row| row["column_name"].as_str().unwrap().to_owned())
            .collect()
    };
    let found = columns("logs");
    for column in common.iter().chain(&logs) {
        assert!(
            found.iter().any(|name| name == column),
            "logs.{column}: {found:?}"
        );
    }
    let check = |table: &str, expected: &[&str]| {
        let found = columns(table);
        for column in expected {
            assert!(
                found.iter().any(|name| name == column),
                "{table}.{column}: {found:?}"
            );
        }
    };
    check(
        "log_fields",
        &[
            "ts", "log_id", "action", "name", "type", "text", "i", "u", "f", "b",
        ],
    );
    check(
        "coverage",
        &[
            "observed_ms",
            "hits",
            "matched",
            "kept",
            "rate_limited",
            "over_budget",
            "dropped",
        ],
    );
    check(
        "losses",
        &[
            "ts",
            "agent_id",
            "process_id",
            "action_id",
            "reason",
            "count",
        ],
    );
    for table in ["actions", "agents", "processes"] {
        assert!(
            world.sql_number(&format!("SELECT count(*) FROM {table}")) >= 1,
            "{table}"
        );
    }
}

/// Whichever way they end.
fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn formats() {
    let world = world_with_logs("3");
    let query = "SELECT action, count(*) AS n FROM logs GROUP BY ALL";
    assert_eq!(world.sql(query), [json!({"action": "sold", "n": 3})]);
    let csv = world.lr(["sql", "--format", "csv", query]).done();
    assert_eq!(lines(&csv), ["action,n", "sold,3"]);
    let ndjson = world.lr(["sql", "--format", "ndjson", query]).done();
    let line: Value = serde_json::from_str(ndjson.trim_end()).unwrap();
    assert_eq!(line, json!({"action": "sold", "n": 3}));
    let table = world.lr(["sql", "--format", "table", query]).done();
    assert!(
        table.contains("action") && table.contains("sold"),
        "{table}"
    );

    let file = world.folder().join("query.sql");
    std::fs::write(&file, query).unwrap();
    let out = world.folder().join("out.csv");
    world
        .command()
        .args(["sql", "--format", "csv", "-f"])
        .arg(&file)
        .arg("-o")
        .arg(&out)
        .status()
        .unwrap();
    assert_eq!(
        lines(&std::fs::read_to_string(&out).unwrap()),
        ["action,n", "sold,3"]
    );

    let found = world
        .lr([
            "sql",
            "--format",
            "csv",
            "--param",
            "name=sold",
            "SELECT count(*) AS n FROM logs WHERE action = $name",
        ])
        .done();
    assert_eq!(lines(&found), ["n", "3"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = world_with_logs("3");
    let mut shell = Command::new("sh");
    world.settle(&mut shell);
    let output = shell
        .arg("-c")
        .arg("\"$0\" sql --format csv 'SELECT range FROM range(50000)' | head -n 1")
        .arg(crate::binaries::lr())
        .output()
        .unwrap();
    assert_eq!(lines(&String::from_utf8_lossy(&output.stdout)), ["range"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn queries_only_read() {
    let world = world_with_logs("2");
    for query in [
        "DELETE FROM logs",
        "DROP TABLE logs",
        "SELECT 1; SELECT 2",
        "COPY logs TO '/dev/null'",
        "ATTACH ':memory:' AS other",
        "SET threads = 1",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM nowhere",
        "SELEKT 1",
    ] {
        world.lr(["sql", query]).refused(1, "bad_query");
    }
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 2);
}

#[test]
fn what_is_stored_survives_the_server() {
    let world = world_with_logs("7");
    world.lr(["server", "stop"]).status(0);
    lr_fixtures::wait_until("the server to end", || {
        world.server_pid().is_none().then_some(())
    });
    assert_eq!(world.sql_number("SELECT count(*) FROM logs"), 7);
}
