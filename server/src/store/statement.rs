use duckdb::Connection;
use serde_json::Value;

use crate::problem::{Answer, Refusal};

/// Table functions that read nothing but their arguments and the catalogue. All others are
/// refused: those that read files, those that take SQL as text, those that change the database.
const TABLE_FUNCTIONS: &[&str] = &[
    "duckdb_columns",
    "duckdb_constraints",
    "duckdb_functions",
    "duckdb_keywords",
    "duckdb_schemas",
    "duckdb_settings",
    "duckdb_tables",
    "duckdb_types",
    "duckdb_views",
    "generate_series",
    "icu_calendar_names",
    "json_each",
    "json_tree",
    "pg_timezone_names",
    "pragma_database_size",
    "pragma_show",
    "pragma_table_info",
    "pragma_version",
    "range",
    "repeat",
    "repeat_row",
    "summary",
    "unnest",
];

/// Scalar functions that do something.
const FORBIDDEN_FUNCTIONS: &[&str] = &[
    "getenv",
    "json_execute_serialized_sql",
    "nextval",
    "setseed",
    "sleep_ms",
    "write_log",
];

/// A statement that may run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Statement {
    /// Something that yields rows and can stand in parentheses.
    Select(String),
    Explain(String),
}

/// Decides whether `sql` is one statement that reads, by the parse tree of DuckDB's own parser.
pub(super) fn check(connection: &Connection, sql: &str) -> Answer<Statement> {
    let (body, explain) = strip_explain(sql);
    let tree: String = connection
        .query_row("SELECT json_serialize_sql(?::VARCHAR)", [body], |row| {
            row.get(0)
        })
        .map_err(|error| bad_query("the query cannot be parsed").detail(error.to_string()))?;
    let tree: Value = serde_json::from_str(&tree)
        .map_err(|error| bad_query("the query is too complex").detail(error.to_string()))?;
    if tree["error"] == true {
        return Err(parse_error(&tree));
    }
    let statements = tree["statements"].as_array().map_or(0, Vec::len);
    if statements != 1 {
        return Err(bad_query("one statement at a time").detail(format!("found {statements}")));
    }
    check_functions(&tree["statements"][0])?;
    let body = body.trim().trim_end_matches(';').to_owned();
    Ok(if explain {
        Statement::Explain(sql.to_owned())
    } else {
        Statement::Select(body)
    })
}

pub(super) fn bad_query(title: impl Into<String>) -> Refusal {
    Refusal::new("bad_query", title)
}

fn parse_error(tree: &Value) -> Refusal {
    let message = tree["error_message"].as_str().unwrap_or_default();
    if tree["error_type"] == "parser" {
        let refusal = bad_query("syntax error");
        return match tree["position"].as_str() {
            Some(position) => refusal.detail(format!("{message} (at character {position})")),
            None => refusal.detail(message),
        };
    }
    bad_query("only a statement that reads may run")
        .detail("SELECT, FROM, WITH, VALUES, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN, and PIVOT … ON … IN (…)")
        .suggest("a PIVOT has to list its values with IN")
}

/// Refuses functions that reach beyond the tables.
fn check_functions(tree: &Value) -> Answer<()> {
    let mut rest = vec![tree];
    while let Some(node) = rest.pop() {
        match node {
            Value::Object(map) => {
                if map.get("type") == Some(&Value::from("TABLE_FUNCTION")) {
                    let name = map.get("function").map_or("", function_name);
                    if !TABLE_FUNCTIONS.contains(&name.to_lowercase().as_str()) {
                        return Err(forbidden(name));
                    }
                }
                let name = function_name(node);
                if FORBIDDEN_FUNCTIONS.contains(&name.to_lowercase().as_str()) {
                    return Err(forbidden(name));
                }
                rest.extend(map.values());
            }
            Value::Array(values) => rest.extend(values),
            _ => {}
        }
    }
    Ok(())
}

fn function_name(node: &Value) -> &str {
    node.get("function_name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn forbidden(name: &str) -> Refusal {
    bad_query(format!("the function {name} is not allowed here"))
        .detail("queries read the tables of this server and nothing else")
}

/// The statement behind `EXPLAIN` or `EXPLAIN ANALYZE`, which the parser does not serialize.
fn strip_explain(sql: &str) -> (&str, bool) {
    let Some(rest) = strip_word(sql, "explain") else {
        return (sql, false);
    };
    (strip_word(rest, "analyze").unwrap_or(rest), true)
}

fn strip_word<'a>(sql: &'a str, word: &str) -> Option<&'a str> {
    let start = skip_space(sql);
    let (head, rest) = start.split_at_checked(word.len())?;
    let ends = rest
        .chars()
        .next()
        .is_none_or(|c| !c.is_alphanumeric() && c != '_');
    (head.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

/// What follows white space and comments.
fn skip_space(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start();
        if let Some(comment) = sql.strip_prefix("--") {
            sql = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = sql.strip_prefix("/*") {
            sql = comment.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            return sql;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(sql: &str) -> Option<String> {
        let connection = Connection::open_in_memory().unwrap();
        check(&connection, sql)
            .err()
            .map(|refusal| refusal.0.code.clone())
    }

    #[test]
    fn statements_that_read_are_allowed() {
        for sql in [
            "SELECT 1",
            "select 1;",
            "FROM range(3)",
            "VALUES (1), (2)",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "DESCRIBE SELECT 1",
            "SHOW TABLES",
            "SUMMARIZE SELECT 1",
            "PIVOT (SELECT 1 AS a, 2 AS b) ON a IN (1) USING sum(b)",
            "/* a */ -- b\n EXPLAIN SELECT 1",
            "explain analyze select 1",
            "SELECT ';' AS text",
        ] {
            assert_eq!(code_of(sql), None, "{sql}");
        }
    }

    #[test]
    fn all_others_are_refused() {
        for sql in [
            "",
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE t",
            "COPY (SELECT 1) TO '/tmp/x.csv'",
            "EXPLAIN COPY (SELECT 1) TO '/tmp/x.csv'",
            "EXPLAIN ANALYZE CREATE TABLE t(i INT)",
            "EXPLAIN SELECT 1; SELECT 2",
            "ATTACH '/tmp/x.duckdb'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "PRAGMA version",
            "CALL pragma_version()",
            "SET memory_limit = '100GB'",
            "RESET ALL",
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "CREATE TEMP TABLE t(a INT)",
            "DROP VIEW logs",
            "BEGIN",
            "CHECKPOINT",
            "EXPORT DATABASE '/tmp/x'",
            "FROM read_csv('/etc/passwd')",
            "SELECT * FROM read_text('/etc/passwd')",
            "FROM glob('/*')",
            "FROM force_checkpoint()",
            "FROM checkpoint()",
            "FROM enable_logging()",
            "FROM query('SELECT 1')",
            "SELECT (SELECT count(*) FROM read_blob('/etc/passwd'))",
            "WITH x AS (FROM sniff_csv('/etc/passwd')) FROM x",
            "SELECT getenv('HOME')",
            "SELECT WRITE_LOG('x')",
            "PREPARE x AS SELECT 1",
            "EXECUTE x",
            "SELEC 1",
        ] {
            assert_eq!(code_of(sql).as_deref(), Some("bad_query"), "{sql}");
        }
    }
}
