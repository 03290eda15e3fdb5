//! How the tables are made, and how those of older servers become those of this one.

use anyhow::{Context as _, bail};
use duckdb::Connection;

/// What each version added, from 1 on. What a server has released is never changed.
const STEPS: &[&str] = &[
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
];
const VIEWS: &str = include_str!("views.sql");

/// Brings the database to the newest version, all of it or nothing. What is stored stays.
pub(super) fn bring_up_to_date(connection: &Connection) -> anyhow::Result<()> {
    let found = version(connection).context("cannot read the version of the tables")?;
    if found > STEPS.len() {
        bail!(
            "the tables are of version {found}, and this server knows {}: a newer one made them",
            STEPS.len()
        );
    }
    connection.execute_batch("BEGIN")?;
    match steps_from(connection, found) {
        Ok(()) => Ok(connection.execute_batch("COMMIT")?),
        Err(error) => {
            // The error is what matters; a transaction that failed may be over already.
            let _ = connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

fn steps_from(connection: &Connection, found: usize) -> anyhow::Result<()> {
    for (number, step) in STEPS.iter().enumerate().skip(found) {
        connection
            .execute_batch(step)
            .with_context(|| format!("cannot make the tables of version {}", number + 1))?;
    }
    connection
        .execute_batch(&format!(
            "CREATE OR REPLACE TABLE store.schema_version AS SELECT {} AS version",
            STEPS.len()
        ))
        .context("cannot note the version of the tables")?;
    connection
        .execute_batch(VIEWS)
        .context("cannot make the views")
}

/// How many steps the database has behind it.
fn version(connection: &Connection) -> anyhow::Result<usize> {
    let has = |table: &str| -> duckdb::Result<bool> {
        connection.query_row(
            "SELECT count(*) > 0 FROM duckdb_tables() WHERE schema_name = 'store' AND table_name = ?",
            [table],
            |row| row.get(0),
        )
    };
    if has("schema_version")? {
        let version: i64 =
            connection.query_row("SELECT version FROM store.schema_version", [], |row| {
                row.get(0)
            })?;
        return Ok(usize::try_from(version)?);
    }
    // The first servers noted none.
    Ok(usize::from(has("logs")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(connection: &Connection, sql: &str) -> i64 {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn tables_of_the_first_servers_keep_what_they_have() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(STEPS[0]).unwrap();
        connection
            .execute_batch(
                r#"INSERT INTO store.logs (ts, session, seq, action_id, message, fields, types)
                   VALUES (now(), 's', 1, 'a', 'old', '{"id":1}', '["i:int"]');
                   INSERT INTO store.actions VALUES
                   ('a', '{"id":"a","version":1,"kind":"log","location":"a.c:1"}')"#,
            )
            .unwrap();
        for _ in 0..2 {
            bring_up_to_date(&connection).unwrap();
            assert_eq!(
                count(
                    &connection,
                    "SELECT count(*) FROM logs WHERE message = 'old'"
                ),
                1
            );
            assert_eq!(count(&connection, "SELECT i FROM log_fields"), 1);
            assert_eq!(count(&connection, "SELECT count(*) FROM metrics"), 0);
            assert_eq!(
                count(&connection, "SELECT count(*) FROM action_versions"),
                1
            );
        }
    }

    #[test]
    fn tables_of_any_server_get_what_was_added_since() {
        for released in 0..STEPS.len() {
            let connection = Connection::open_in_memory().unwrap();
            for step in &STEPS[..released] {
                connection.execute_batch(step).unwrap();
            }
            if released > 1 {
                let frame = "INSERT INTO store.frames (session, seq, frame) VALUES ('s', 1, 0)";
                connection.execute_batch(frame).unwrap();
                let note =
                    format!("CREATE TABLE store.schema_version AS SELECT {released} AS version");
                connection.execute_batch(&note).unwrap();
                // What reads the tables is there too.
                let view = "CREATE VIEW frames AS SELECT * FROM store.frames";
                connection.execute_batch(view).unwrap();
            }
            bring_up_to_date(&connection).unwrap();
            let unknown = "SELECT count(*) FROM frames WHERE tail_call IS NULL AND guessed IS NULL";
            assert_eq!(count(&connection, unknown), i64::from(released > 1));
        }
    }

    #[test]
    fn tables_of_a_newer_server_are_left_alone() {
        let connection = Connection::open_in_memory().unwrap();
        bring_up_to_date(&connection).unwrap();
        connection
            .execute_batch("UPDATE store.schema_version SET version = 99")
            .unwrap();
        let error = bring_up_to_date(&connection).unwrap_err();
        assert!(error.to_string().contains("a newer one"), "{error}");
        assert_eq!(
            count(&connection, "SELECT version FROM store.schema_version"),
            99
        );
    }

    /// A list of buckets `(lo, hi, n)`.
    fn quantile(buckets: &str, q: &str) -> Option<f64> {
        let connection = Connection::open_in_memory().unwrap();
        bring_up_to_date(&connection).unwrap();
        let sql = format!(
            "SELECT lr_quantile({buckets}::STRUCT(lo DOUBLE, hi DOUBLE, n UBIGINT)[], {q})"
        );
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(quantile("[]", "0.5"), None);
        let one = "[{'lo': 8, 'hi': 9, 'n': 2}]";
        assert_eq!(quantile(one, "0"), Some(8.0));
        assert_eq!(quantile(one, "0.5"), Some(8.5));
        assert_eq!(quantile(one, "1"), Some(9.0));
        let two = "[{'lo': 16, 'hi': 18, 'n': 1}, {'lo': 1, 'hi': 2, 'n': 99}]";
        assert_eq!(quantile(two, "0.99"), Some(2.0));
        assert_eq!(quantile(two, "0.995"), Some(17.0));
        // The same bucket twice, as of two seconds.
        let merged = "flatten([[{'lo': 1, 'hi': 2, 'n': 1}], [{'lo': 1, 'hi': 2, 'n': 3}]])";
        assert_eq!(quantile(merged, "0.5"), Some(1.5));
        assert_eq!(
            quantile(
                "[{'lo': -4, 'hi': -2, 'n': 4}, {'lo': 0, 'hi': 0, 'n': 4}]",
                "0.25"
            ),
            Some(-3.0)
        );
    }

    #[test]
    fn quantiles_are_those_that_are_told_live() {
        let buckets = [
            (0.0, 0.0, 3),
            (1.0, 1.125, 7),
            (64.0, 72.0, 5),
            (-8.0, -7.0, 2),
        ]
        .map(|(lo, hi, n)| lr_protocol::HistogramBucket { lo, hi, n });
        let json = serde_json::to_string(&buckets).unwrap();
        for q in [0.01, 0.25, 0.5, 0.9, 0.99, 0.999] {
            let sql = format!(
                "from_json('{json}', '[{{\"lo\": \"DOUBLE\", \"hi\": \"DOUBLE\", \"n\": \"UBIGINT\"}}]')"
            );
            let stored = quantile(&sql, &q.to_string()).unwrap();
            let told = lr_protocol::HistogramBucket::quantile(&buckets, q).unwrap();
            assert!((stored - told).abs() < 1e-9, "{q}: {stored} {told}");
        }
    }
}
