use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use duckdb::{Connection, InterruptHandle};
use lr_protocol::QueryResult;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};

use super::database::Database;
use super::parquet::{self, Exported};
use super::render::{self, Failed, Rendered};
use super::statement::{self, Statement, bad_query};
use crate::problem::{Answer, Refusal};

/// Queries that run at the same time; others wait.
const CONCURRENT: usize = 4;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How often a query that has to end is told so: between its statements nothing hears.
const CUT_INTERVAL: Duration = Duration::from_millis(50);

/// How far a query may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryLimits {
    pub(crate) max_rows: usize,
    /// Of the result in memory.
    pub(crate) max_bytes: usize,
    pub(crate) timeout: Duration,
}

impl Default for QueryLimits {
    fn default() -> QueryLimits {
        QueryLimits {
            max_rows: 100_000,
            max_bytes: 64 << 20,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Runs user SQL.
#[derive(Clone, Debug)]
pub(crate) struct Queries(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    database: Mutex<Database>,
    turns: Arc<Semaphore>,
    running: Mutex<HashMap<u64, Arc<Running>>>,
    next: AtomicU64,
}

struct Running {
    interrupt: Arc<InterruptHandle>,
    cut: AtomicBool,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("cut", &self.cut)
            .finish_non_exhaustive()
    }
}

impl Running {
    fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.interrupt.interrupt();
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }
}

impl Queries {
    pub(crate) fn new(database: Database) -> Queries {
        Queries(Arc::new(Shared {
            database: Mutex::new(database),
            turns: Arc::new(Semaphore::new(CONCURRENT)),
            running: Mutex::default(),
            next: AtomicU64::new(0),
        }))
    }

    /// Ends what runs: the writer needs the memory, or the server stops.
    pub(crate) fn cut_all(&self) {
        for running in self.running().values() {
            running.cut();
        }
    }

    /// Runs one statement that reads.
    pub(crate) async fn run(
        &self,
        sql: String,
        params: BTreeMap<String, String>,
        limits: QueryLimits,
    ) -> Answer<QueryResult> {
        let started = Instant::now();
        let rendered = self
            .with_connection(limits.timeout, move |connection, is_cut| {
                execute(connection, &sql, &params, limits, is_cut)
            })
            .await?;
        Ok(QueryResult {
            columns: rendered.columns,
            rows: rendered.rows,
            truncated: rendered.truncated,
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Runs one statement that reads, with its result as a Parquet file.
    pub(crate) async fn export(
        &self,
        sql: String,
        params: BTreeMap<String, String>,
        limits: QueryLimits,
    ) -> Answer<Exported> {
        let folder = self.database().exports().to_path_buf();
        self.with_connection(limits.timeout, move |connection, _| {
            reading(connection, &sql, |statement| {
                parquet::export(connection, statement, &params, limits, &folder)
            })
        })
        .await
    }

    /// Runs `work` on a blocking thread with a connection of its own. It is cut when the time is
    /// over or nobody waits for it any more.
    pub(crate) async fn with_connection<T, F>(&self, timeout: Duration, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &dyn Fn() -> bool) -> Answer<T> + Send + 'static,
    {
        let turn = tokio::time::timeout(TURN, self.0.turns.clone().acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(Refusal::new("server_busy", "too many queries run already"));
        };
        let connection = self.database().connect().map_err(|error| {
            Refusal::internal("cannot reach the database").detail(error.to_string())
        })?;
        let running = Arc::new(Running {
            interrupt: connection.interrupt_handle(),
            cut: AtomicBool::new(false),
        });
        let _awaited = CutOnDrop(running.clone());
        let registered = Registered::new(self.clone(), running.clone());
        let seen = running.clone();
        let work = tokio::task::spawn_blocking(move || work(&connection, &|| seen.is_cut()));
        // On a task of its own, which outlives this future until the work has really ended.
        let supervised = tokio::spawn(async move {
            let _turn = turn;
            supervise(work, &registered.running, timeout).await
        });
        match supervised.await.and_then(|done| done) {
            Ok(Err(_)) if running.is_cut() => {
                Err(Refusal::new("query_cut", "the query was cut off")
                    .detail(format!("it may run for {} s", timeout.as_secs()))
                    .suggest("ask for less: a narrower time range, fewer rows"))
            }
            Ok(answer) => answer,
            Err(error) => {
                Err(Refusal::internal("the query failed inside").detail(error.to_string()))
            }
        }
    }

    fn database(&self) -> MutexGuard<'_, Database> {
        self.0
            .database
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, Arc<Running>>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the work, and cuts it as long as it has to end and has not: an interrupt that falls
/// between two statements is not heard.
async fn supervise<T>(
    mut work: JoinHandle<T>,
    running: &Running,
    timeout: Duration,
) -> Result<T, JoinError> {
    let deadline = Instant::now() + timeout;
    loop {
        match tokio::time::timeout(CUT_INTERVAL, &mut work).await {
            Ok(done) => return done,
            Err(_) if running.is_cut() || Instant::now() >= deadline => running.cut(),
            Err(_) => {}
        }
    }
}

/// Whoever waits for a query; going away cuts it.
struct CutOnDrop(Arc<Running>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// A query in the list of those that run.
struct Registered {
    queries: Queries,
    number: u64,
    running: Arc<Running>,
}

impl Registered {
    fn new(queries: Queries, running: Arc<Running>) -> Registered {
        let number = queries.0.next.fetch_add(1, Ordering::Relaxed);
        queries.running().insert(number, running.clone());
        Registered {
            queries,
            number,
            running,
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.queries.running().remove(&self.number);
    }
}

fn execute(
    connection: &Connection,
    sql: &str,
    params: &BTreeMap<String, String>,
    limits: QueryLimits,
    is_cut: &dyn Fn() -> bool,
) -> Answer<Rendered> {
    reading(connection, sql, |statement| {
        render::run(connection, statement, params, limits, is_cut)
    })
}

/// Does `work` with a statement that may run, in a transaction that cannot write.
fn reading<T>(
    connection: &Connection,
    sql: &str,
    work: impl FnOnce(&Statement) -> Result<T, Failed>,
) -> Answer<T> {
    let statement = statement::check(connection, sql)?;
    // The parse tree has been judged already; this holds even where that judged wrongly.
    connection
        .execute_batch("BEGIN TRANSACTION READ ONLY")
        .map_err(|error| Refusal::internal("cannot begin").detail(error.to_string()))?;
    let done = work(&statement);
    let _ = connection.execute_batch("ROLLBACK");
    done.map_err(|failed| match failed {
        Failed::Refused(refusal) => refusal,
        Failed::Database(error) => refusal_of(&error),
    })
}

fn refusal_of(error: &duckdb::Error) -> Refusal {
    let text = match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message.clone(),
        error => error.to_string(),
    };
    if text.contains("Out of Memory") {
        return Refusal::new("query_cut", "the query needs more memory than it may have")
            .detail(text.lines().next().unwrap_or_default())
            .suggest("ask for less: a narrower time range, fewer columns");
    }
    bad_query("the query failed").detail(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    struct World {
        queries: Queries,
        _folder: tempfile::TempDir,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("lr.duckdb")).unwrap();
        World {
            queries: Queries::new(database),
            _folder: folder,
        }
    }

    impl World {
        async fn run(&self, sql: &str, limits: QueryLimits) -> Answer<QueryResult> {
            let params = BTreeMap::from([("n".to_owned(), "3".to_owned())]);
            self.queries.run(sql.to_owned(), params, limits).await
        }
    }

    async fn rows(sql: &str) -> Value {
        let result = world().run(sql, QueryLimits::default()).await.unwrap();
        Value::from_iter(result.rows)
    }

    #[tokio::test]
    async fn values_are_what_the_protocol_says() {
        let sql = "SELECT 9007199254740993, 1::HUGEINT, 1.50, DATE '2026-01-02', \
            '\\x00'::BLOB, [1, NULL], {a: 9007199254740993}, MAP {'k': 1}, 0.1::FLOAT, \
            'NaN'::DOUBLE, NULL, '{\"a\": 1}'::JSON, true, \
            TIMESTAMPTZ '2026-01-02 03:04:05.678901+00', 'infinity'::TIMESTAMPTZ";
        assert_eq!(
            rows(sql).await,
            json!([[
                "9007199254740993", "1", "1.50", "2026-01-02",
                "\\x00", [1, null], {"a": "9007199254740993"}, {"k": 1}, 0.1,
                "NaN", null, {"a": 1}, true,
                "2026-01-02T03:04:05.678901Z", "infinity",
            ]])
        );
    }

    #[tokio::test]
    async fn order_duplicate_names_and_comments_survive() {
        let sql = "SELECT i AS a, -i AS a FROM range(4) t(i) ORDER BY i DESC -- the end";
        assert_eq!(rows(sql).await, json!([[3, -3], [2, -2], [1, -1], [0, 0]]));
        let sorted = rows("SELECT i FROM range(50000) t(i) ORDER BY (i * 7919) % 50000").await;
        let sorted: Vec<i64> = sorted
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row[0].as_i64().unwrap())
            .collect();
        assert!(sorted.is_sorted_by_key(|i| i * 7919 % 50000));
    }

    #[tokio::test]
    async fn parameters_take_the_type_that_they_meet() {
        assert_eq!(
            rows("SELECT i FROM range(9) t(i) WHERE i = $n").await,
            json!([[3]])
        );
        assert_eq!(
            rows("SELECT '3' = $n, 3.0 = $n").await,
            json!([[true, true]])
        );
        let missing = world()
            .run("SELECT $other", QueryLimits::default())
            .await
            .unwrap_err();
        assert_eq!(missing.0.code, "bad_query");
        assert!(missing.0.title.contains("$other"), "{}", missing.0.title);
    }

    #[tokio::test]
    async fn other_statements_that_read_work() {
        for sql in [
            "DESCRIBE logs",
            "SHOW TABLES",
            "SUMMARIZE actions",
            "EXPLAIN FROM logs",
            "EXPLAIN ANALYZE FROM logs",
            "VALUES (1)",
            "WITH x AS (SELECT 1) FROM x;",
            "PIVOT (SELECT 1 AS a, 2 AS b) ON a IN (1) USING sum(b)",
        ] {
            let result = world().run(sql, QueryLimits::default()).await;
            assert!(!result.expect(sql).columns.is_empty(), "{sql}");
        }
    }

    #[tokio::test]
    async fn a_long_result_is_cut_and_says_so() {
        let limits = QueryLimits {
            max_rows: 10,
            ..QueryLimits::default()
        };
        let world = world();
        let result = world
            .run("FROM range(1000000000000)", limits)
            .await
            .unwrap();
        assert_eq!((result.rows.len(), result.truncated), (10, true));
        let result = world.run("FROM range(10)", limits).await.unwrap();
        assert_eq!((result.rows.len(), result.truncated), (10, false));
        let limits = QueryLimits {
            max_bytes: 1 << 20,
            ..QueryLimits::default()
        };
        let result = world
            .run("SELECT repeat('x', 100000) FROM range(1000)", limits)
            .await
            .unwrap();
        assert!(
            result.truncated && result.rows.len() < 20,
            "{}",
            result.rows.len()
        );
    }

    #[tokio::test]
    async fn a_long_query_is_cut_and_the_next_one_runs() {
        let limits = QueryLimits {
            timeout: Duration::from_millis(300),
            ..QueryLimits::default()
        };
        let world = world();
        let endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c";
        let cut = world.run(endless, limits).await.unwrap_err();
        assert_eq!(cut.0.code, "query_cut");
        assert!(world.run("SELECT 1", QueryLimits::default()).await.is_ok());
    }

    #[tokio::test]
    async fn a_greedy_query_is_cut() {
        let greedy = "SELECT length(list(i)::VARCHAR) FROM range(200000000) t(i)";
        let cut = world()
            .run(greedy, QueryLimits::default())
            .await
            .unwrap_err();
        assert_eq!(cut.0.code, "query_cut", "{cut}");
    }

    #[tokio::test]
    async fn files_and_settings_are_out_of_reach() {
        let world = world();
        for sql in [
            "FROM '/etc/passwd'",
            "FROM '/etc/hosts.csv'",
            "FROM 'https://example.com/x.parquet'",
            "FROM read_csv('/etc/passwd')",
            "SELECT * FROM logs; COPY logs TO '/tmp/x'",
            "SET enable_external_access = true",
            "DELETE FROM store.logs",
        ] {
            let refused = world.run(sql, QueryLimits::default()).await.unwrap_err();
            assert_eq!(refused.0.code, "bad_query", "{sql}: {refused}");
        }
        // Were the judge of statements wrong, the connection itself would still refuse.
        let connection = world.queries.database().connect().unwrap();
        for sql in [
            "SET enable_external_access = true",
            "SET memory_limit = '100GB'",
            "ATTACH '/tmp/lr-test-never.duckdb'",
            "COPY (SELECT 1) TO '/tmp/lr-test-never.csv'",
            "SELECT * FROM read_text('/etc/passwd')",
            "INSTALL httpfs",
            "LOAD '/tmp/lr-test-never.so'",
        ] {
            assert!(connection.execute_batch(sql).is_err(), "{sql}");
        }
        connection
            .execute_batch("BEGIN TRANSACTION READ ONLY")
            .unwrap();
        assert!(connection.execute_batch("DELETE FROM store.logs").is_err());
    }

    #[tokio::test]
    async fn a_result_can_be_a_parquet_file() {
        let world = world();
        let export = async |sql: &str, max_rows| {
            let params = BTreeMap::from([("n".to_owned(), "3".to_owned())]);
            let limits = QueryLimits {
                max_rows,
                ..QueryLimits::default()
            };
            world.queries.export(sql.to_owned(), params, limits).await
        };
        let sql = "SELECT i, 'x''y' AS text FROM range(9) t(i) WHERE i >= $n ORDER BY i -- end";
        let exported = export(sql, 100).await.unwrap();
        assert!(!exported.truncated);
        let reader = Connection::open_in_memory().unwrap();
        let file = tempfile::NamedTempFile::with_suffix(".parquet").unwrap();
        std::fs::write(file.path(), &exported.file).unwrap();
        let read = format!(
            "SELECT list(i)::VARCHAR, any_value(text) FROM '{}'",
            file.path().display()
        );
        let row: (String, String) = reader
            .query_row(&read, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(row, ("[3, 4, 5, 6, 7, 8]".to_owned(), "x'y".to_owned()));
        assert!(export(sql, 2).await.unwrap().truncated);
        assert!(!export(sql, 6).await.unwrap().truncated);
        for refused in [
            "EXPLAIN SELECT 1",
            "COPY logs TO '/tmp/x'",
            "SELECT nothing",
        ] {
            assert_eq!(export(refused, 9).await.unwrap_err().0.code, "bad_query");
        }
        let left = std::fs::read_dir(world.queries.database().exports())
            .unwrap()
            .count();
        assert_eq!(left, 0, "files go once they are read");
    }

    #[tokio::test]
    async fn hanging_up_ends_the_query() {
        let world = world();
        let endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c";
        let gone = tokio::time::timeout(
            Duration::from_millis(200),
            world.run(endless, QueryLimits::default()),
        );
        assert!(gone.await.is_err());
        let ended = async {
            while !world.queries.running().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .expect("the query ends");
    }
}
