use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use duckdb::{Connection, InterruptHandle};
use lr_protocol::QueryResult;
use tokio::sync::Semaphore;

use super::database::Database;
use super::render::{self, Rendered};
use super::statement::{self, bad_query};
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
    turns: Semaphore,
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
            turns: Semaphore::new(CONCURRENT),
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

    /// Runs `work` on a blocking thread with a connection of its own. It is cut when the time is
    /// over or nobody waits for it any more.
    pub(crate) async fn with_connection<T, F>(&self, timeout: Duration, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &dyn Fn() -> bool) -> Answer<T> + Send + 'static,
    {
        let turn = tokio::time::timeout(TURN, self.0.turns.acquire());
        let Ok(Ok(_turn)) = turn.await else {
            return Err(Refusal::new("server_busy", "too many queries run already"));
        };
        let connection = self.database().connect().map_err(|error| {
            Refusal::internal("cannot reach the database").detail(error.to_string())
        })?;
        let running = Arc::new(Running {
            interrupt: connection.interrupt_handle(),
            cut: AtomicBool::new(false),
        });
        let _registered = Registered::new(self.clone(), running.clone());
        let seen = running.clone();
        let mut work = tokio::task::spawn_blocking(move || work(&connection, &|| seen.is_cut()));
        let done = tokio::time::timeout(timeout, &mut work).await;
        let done = match done {
            Ok(done) => done,
            Err(_) => loop {
                running.cut();
                if let Ok(done) = tokio::time::timeout(CUT_INTERVAL, &mut work).await {
                    break done;
                }
            },
        };
        match done {
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

/// A query in the list of those that run; leaving it cuts what still runs.
struct Registered {
    queries: Queries,
    number: u64,
}

impl Registered {
    fn new(queries: Queries, running: Arc<Running>) -> Registered {
        let number = queries.0.next.fetch_add(1, Ordering::Relaxed);
        queries.running().insert(number, running);
        Registered { queries, number }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let running = self.queries.running().remove(&self.number);
        if let Some(running) = running {
            running.cut();
        }
    }
}

fn execute(
    connection: &Connection,
    sql: &str,
    params: &BTreeMap<String, String>,
    limits: QueryLimits,
    is_cut: &dyn Fn() -> bool,
) -> Answer<Rendered> {
    let statement = statement::check(connection, sql)?;
    // The parse tree has been judged already; this holds even where that judged wrongly.
    connection
        .execute_batch("BEGIN TRANSACTION READ ONLY")
        .map_err(|error| Refusal::internal("cannot begin").detail(error.to_string()))?;
    let rendered = render::run(connection, &statement, params, limits, is_cut);
    let _ = connection.execute_batch("ROLLBACK");
    rendered.map_err(|error| match error {
        render::Failed::Refused(refusal) => refusal,
        render::Failed::Database(error) => refusal_of(&error),
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
