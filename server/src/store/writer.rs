use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use duckdb::{Connection, params};
use lr_protocol::{Batch, BatchAccepted};
use tokio::sync::{oneshot, watch};

use super::query::Queries;
use super::rows::{self, Tables};
use super::seen::Seen;
use crate::courtesy::Aside;
use crate::live::Hub;
use crate::log::log;
use crate::problem::{Answer, Refusal};
use crate::registry::{BatchContext, Effects, Record, SharedRegistry, events_of};

/// Jobs that wait for the writer; more are refused, and the agent comes again.
const QUEUE_JOBS: usize = 256;
/// Bytes of batches that wait for the writer.
const QUEUE_BYTES: usize = 64 << 20;
/// Events that one transaction takes at most, beside the batch that goes beyond it.
const GROUP_EVENTS: usize = 50_000;
/// How often a transaction is tried that failed for want of memory, which a query had.
const MEMORY_TRIES: usize = 3;

/// A batch on its way into the database.
#[derive(Debug)]
pub(crate) struct BatchJob {
    pub(crate) context: BatchContext,
    pub(crate) action_names: HashMap<String, String>,
    pub(crate) received_at: i64,
    pub(crate) batch: Batch,
    /// Its size as it came.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
enum Job {
    Batch(Box<BatchJob>, oneshot::Sender<Answer<BatchAccepted>>),
    Effects(Effects, oneshot::Sender<Answer<()>>),
    Stop,
}

/// Where jobs are handed in.
#[derive(Clone, Debug)]
pub(crate) struct WriterHandle {
    jobs: SyncSender<Job>,
    waiting_bytes: Arc<AtomicUsize>,
    turn: watch::Receiver<Turn>,
}

/// The registry hears of a batch before it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Storing(u64),
    Stored(u64),
}

impl WriterHandle {
    /// Returns when everything is stored that the registry had heard of when this was called, so
    /// that what it said can be queried.
    pub(crate) async fn stored(&self) {
        let mut turn = self.turn.clone();
        let Turn::Storing(number) = *turn.borrow_and_update() else {
            return;
        };
        // An error means that the writer has ended, and with it the server.
        let _ = turn.wait_for(|now| *now != Turn::Storing(number)).await;
    }

    /// Stores a batch; answers after the commit. Refused at once where the queue is full.
    pub(crate) async fn store(&self, job: BatchJob) -> Answer<BatchAccepted> {
        let bytes = job.bytes;
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        let _waiting = WaitingBytes {
            count: &self.waiting_bytes,
            bytes,
        };
        if before > 0 && before + bytes > QUEUE_BYTES {
            return Err(busy());
        }
        let (reply, answer) = oneshot::channel();
        self.send(Job::Batch(Box::new(job), reply))?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Stores records and then tells events; answers after the commit.
    pub(crate) async fn commit(&self, effects: Effects) -> Answer<()> {
        if effects.is_empty() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let mut job = Job::Effects(effects, reply);
        // These are few and must not be lost, for the registry has changed already.
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => job = back,
                Err(TrySendError::Disconnected(_)) => return Err(stopped()),
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    fn send(&self, job: Job) -> Answer<()> {
        match self.jobs.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(busy()),
            Err(TrySendError::Disconnected(_)) => Err(stopped()),
        }
    }
}

/// Bytes that count as waiting until the request is answered or given up.
struct WaitingBytes<'a> {
    count: &'a AtomicUsize,
    bytes: usize,
}

impl Drop for WaitingBytes<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

fn busy() -> Refusal {
    Refusal::new("server_busy", "the server's queue is full").suggest("send it again in a second")
}

fn stopped() -> Refusal {
    Refusal::new("stopping", "the server is stopping")
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    handle: WriterHandle,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the writer on its connection.
    pub(crate) fn start(
        connection: Connection,
        registry: SharedRegistry,
        hub: Hub,
        queries: Queries,
    ) -> anyhow::Result<Writer> {
        let seen = Seen::load(&connection)?;
        let (jobs, receiver) = sync_channel(QUEUE_JOBS);
        let (turn, watched) = watch::channel(Turn::Stored(0));
        let handle = WriterHandle {
            jobs,
            waiting_bytes: Arc::default(),
            turn: watched,
        };
        let state = State {
            connection,
            registry,
            hub,
            queries,
            seen,
            turn,
        };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || state.run(&receiver))
            .context("cannot start the writer's thread")?;
        Ok(Writer { handle, thread })
    }

    pub(crate) fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }

    /// Writes what waits, checkpoints, and ends. Blocks.
    pub(crate) fn stop(self) {
        // Blocks while the queue is full, which the writer empties.
        let _ = self.handle.jobs.send(Job::Stop);
        if self.thread.join().is_err() {
            log("the writer panicked");
        }
    }
}

struct State {
    connection: Connection,
    registry: SharedRegistry,
    hub: Hub,
    queries: Queries,
    seen: Seen,
    turn: watch::Sender<Turn>,
}

impl State {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut number = 0;
        let mut aside = Aside::new();
        while let Ok(first) = jobs.recv() {
            let (group, stop) = collect(first, jobs);
            aside.keep_off(|| self.registry.lock().processes_here());
            number += 1;
            self.turn.send_replace(Turn::Storing(number));
            self.process(group);
            self.turn.send_replace(Turn::Stored(number));
            if stop {
                break;
            }
        }
        if let Err(error) = self.connection.execute_batch("CHECKPOINT") {
            log(&format!("cannot checkpoint: {error}"));
        }
    }

    fn process(&mut self, group: Vec<Job>) {
        // What the registry says of a batch is asked once: it changes by being asked.
        let group = group
            .into_iter()
            .filter_map(|job| self.prepare(job))
            .collect();
        self.commit_or_split(group);
    }

    /// Asks the registry about a batch.
    fn prepare(&mut self, job: Job) -> Option<Prepared> {
        match job {
            Job::Batch(job, reply) => {
                let duplicate = !self.seen.insert(&job.context.session, job.batch.sequence);
                let effects = if duplicate {
                    Effects::default()
                } else {
                    let mut registry = self.registry.lock();
                    registry.apply_batch(&job.context, &job.batch, job.received_at)
                };
                Some(Prepared {
                    effects,
                    work: Work::Batch {
                        job,
                        reply,
                        duplicate,
                    },
                })
            }
            Job::Effects(effects, reply) => Some(Prepared {
                effects,
                work: Work::Effects(reply),
            }),
            Job::Stop => None,
        }
    }

    fn commit_or_split(&mut self, group: Vec<Prepared>) {
        match self.commit(&group) {
            Ok(()) => {
                for prepared in &group {
                    self.tell(prepared);
                }
                group.into_iter().for_each(Prepared::accept);
            }
            // One bad job must not take the others with it.
            Err(_) if group.len() > 1 => {
                for prepared in group {
                    self.commit_or_split(vec![prepared]);
                }
            }
            Err(error) => {
                log(&format!("cannot store: {error}"));
                let refusal = Refusal::internal("cannot store").detail(error.to_string());
                for prepared in group {
                    if let Some(job) = prepared.new_batch() {
                        self.seen.remove(&job.context.session, job.batch.sequence);
                    }
                    prepared.refuse(&refusal);
                }
            }
        }
    }

    /// Tells what is committed. What was seen becomes events only where somebody listens; who begins to
    /// listen later finds them in the store.
    fn tell(&self, prepared: &Prepared) {
        if let Some(job) = prepared.new_batch()
            && self.hub.has_listeners()
        {
            let scopes = self.registry.lock().event_scopes(&job.context, &job.batch);
            self.hub.tell(&events_of(&job.context, &job.batch, &scopes));
        }
        self.hub.tell(&prepared.effects.events);
    }

    fn commit(&self, group: &[Prepared]) -> duckdb::Result<()> {
        let mut tries = 0;
        loop {
            let Err(error) = self.write(group) else {
                return Ok(());
            };
            let _ = self.connection.execute_batch("ROLLBACK");
            tries += 1;
            if tries >= MEMORY_TRIES || !error.to_string().contains("Out of Memory") {
                return Err(error);
            }
            // Ingest comes before queries.
            self.queries.cut_all();
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    fn write(&self, group: &[Prepared]) -> duckdb::Result<()> {
        self.connection.execute_batch("BEGIN")?;
        let batches: Vec<&BatchJob> = group.iter().filter_map(Prepared::new_batch).collect();
        if !batches.is_empty() {
            self.append(&batches)?;
        }
        self.replace(group.iter().flat_map(|prepared| &prepared.effects.records))?;
        self.connection.execute_batch("COMMIT")
    }

    fn append(&self, batches: &[&BatchJob]) -> duckdb::Result<()> {
        let mut tables = Tables::open(&self.connection)?;
        let mut seen = self.connection.appender_to_db("batches_stored", "store")?;
        for job in batches {
            tables.append(job)?;
            seen.append_row(params![
                &*job.context.agent_id,
                &*job.context.session,
                job.batch.sequence,
                job.batch.sequence,
                rows::time(job.received_at),
            ])?;
        }
        tables.flush()?;
        seen.flush()
    }

    /// Replaces whole records; the last of those with the same id counts.
    fn replace<'a>(&self, records: impl Iterator<Item = &'a Record>) -> duckdb::Result<()> {
        let newest: BTreeMap<(&str, &str), &str> = records
            .map(|record| ((record.table, record.id.as_str()), record.json.as_str()))
            .collect();
        for ((table, id), json) in newest {
            if table == "action_versions" {
                // Versions are added and never replaced.
                self.connection
                    .prepare_cached(
                        "INSERT INTO store.action_versions
                         SELECT record ->> 'id', (record ->> 'version')::UINTEGER, record
                         FROM (SELECT ?::JSON AS record)",
                    )?
                    .execute([json])?;
                continue;
            }
            let (delete, insert) = match table {
                "agents" => (
                    "DELETE FROM store.agents WHERE agent_id = ?",
                    "INSERT INTO store.agents VALUES (?, ?)",
                ),
                _ => (
                    "DELETE FROM store.actions WHERE action_id = ?",
                    "INSERT INTO store.actions VALUES (?, ?)",
                ),
            };
            self.connection.prepare_cached(delete)?.execute([id])?;
            self.connection
                .prepare_cached(insert)?
                .execute([id, json])?;
        }
        Ok(())
    }
}

/// A job with what the registry says of it.
struct Prepared {
    effects: Effects,
    work: Work,
}

enum Work {
    Batch {
        job: Box<BatchJob>,
        reply: oneshot::Sender<Answer<BatchAccepted>>,
        duplicate: bool,
    },
    Effects(oneshot::Sender<Answer<()>>),
}

impl Prepared {
    /// The batch, if it is one that was not stored before.
    fn new_batch(&self) -> Option<&BatchJob> {
        match &self.work {
            Work::Batch {
                job,
                duplicate: false,
                ..
            } => Some(job),
            _ => None,
        }
    }

    // Whoever asked may have gone; what it sent is stored all the same.

    fn accept(self) {
        match self.work {
            Work::Batch {
                job,
                reply,
                duplicate,
            } => {
                let sequence = job.batch.sequence;
                let _ = reply.send(Ok(BatchAccepted {
                    sequence,
                    duplicate,
                }));
            }
            Work::Effects(reply) => {
                let _ = reply.send(Ok(()));
            }
        }
    }

    fn refuse(self, refusal: &Refusal) {
        match self.work {
            Work::Batch { reply, .. } => {
                let _ = reply.send(Err(refusal.clone()));
            }
            Work::Effects(reply) => {
                let _ = reply.send(Err(refusal.clone()));
            }
        }
    }
}

/// What waits, up to the size of a group, and whether the writer is to stop after it.
fn collect(first: Job, jobs: &Receiver<Job>) -> (Vec<Job>, bool) {
    let mut events = 0;
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(job) = next {
        match &job {
            Job::Stop => return (group, true),
            Job::Batch(job, _) => events += rows_of(&job.batch),
            Job::Effects(..) => {}
        }
        group.push(job);
        next = (events < GROUP_EVENTS)
            .then(|| jobs.try_recv().ok())
            .flatten();
    }
    (group, false)
}

/// About how many rows a batch becomes, by what there are many of.
fn rows_of(batch: &Batch) -> usize {
    /// Of a snapshot that is neither small nor large.
    const SNAPSHOT_ROWS: usize = 200;
    batch.logs.len() + batch.metrics.len() + SNAPSHOT_ROWS * batch.snapshots.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(bytes: usize) -> BatchJob {
        BatchJob {
            context: BatchContext {
                agent_id: "a".into(),
                session: "s".into(),
                process_id: "1-1".to_owned(),
                pid: 1,
            },
            action_names: HashMap::new(),
            received_at: 0,
            batch: serde_json::from_str(r#"{"session": "s", "sequence": 1, "sent_at": 0}"#)
                .unwrap(),
            bytes,
        }
    }

    /// A queue that nobody empties.
    fn stuck(jobs: usize) -> (WriterHandle, Receiver<Job>) {
        let (jobs, receiver) = sync_channel(jobs);
        let waiting_bytes = Arc::default();
        (
            WriterHandle {
                jobs,
                waiting_bytes,
                turn: watch::channel(Turn::Stored(0)).1,
            },
            receiver,
        )
    }

    async fn refused(handle: &WriterHandle, bytes: usize) -> Refusal {
        let answer =
            tokio::time::timeout(std::time::Duration::from_secs(5), handle.store(job(bytes)));
        answer
            .await
            .expect("a full queue answers at once")
            .unwrap_err()
    }

    fn wait(handle: &WriterHandle, bytes: usize) -> tokio::task::JoinHandle<Answer<BatchAccepted>> {
        let handle = handle.clone();
        tokio::spawn(async move { handle.store(job(bytes)).await })
    }

    #[tokio::test]
    async fn a_queue_full_of_jobs_refuses_and_says_when_to_come_again() {
        let (handle, _receiver) = stuck(1);
        let waiting = wait(&handle, 10);
        tokio::task::yield_now().await;
        let refusal = refused(&handle, 10).await;
        assert_eq!(refusal.0.code, "server_busy");
        let response = warp::reply::Reply::into_response(refusal);
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        waiting.abort();
    }

    #[tokio::test]
    async fn a_queue_full_of_bytes_refuses_and_recovers() {
        let (handle, receiver) = stuck(9);
        let waiting = wait(&handle, QUEUE_BYTES);
        tokio::task::yield_now().await;
        assert_eq!(refused(&handle, 1).await.0.code, "server_busy");
        drop(receiver.recv().unwrap());
        assert_eq!(waiting.await.unwrap().unwrap_err().0.code, "stopping");
        assert_eq!(handle.waiting_bytes.load(Ordering::Acquire), 0);
    }
}
