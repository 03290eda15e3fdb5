use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use lr_protocol::{Batch, Loss, RegisterAgent, SNAPSHOT_BYTES};
use serde::Deserialize;

use super::Answered;
use super::body::{json, parse, with_status};
use crate::app::App;
use crate::caller::Caller;
use crate::clock::now_us;
use crate::problem::{Answer, Refusal};
use crate::store::BatchJob;

/// How long a request for the wanted set waits for news.
const LONG_POLL: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    all: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct WantedQuery {
    revision: Option<u64>,
}

/// `POST /agents`
pub(super) async fn register(app: Arc<App>, caller: Caller, body: Bytes) -> Answered {
    let new: RegisterAgent = parse(&body)?;
    // Only over the socket is the agent known to run on this host.
    let local_start = match caller {
        Caller::Socket { .. } => crate::proc::start_time(new.agent_pid),
        _ => None,
    };
    let (registered, effects) =
        app.registry
            .lock()
            .register(new, local_start, Instant::now(), now_us())?;
    app.writer.commit(effects).await?;
    Ok(json(&registered))
}

/// `GET /agents`
pub(super) async fn list(app: Arc<App>, query: ListQuery) -> Answered {
    let agents = app.registry.lock().list_agents(query.all);
    app.writer.stored().await;
    Ok(json(&agents))
}

/// `GET /agents/{id}/wanted`
pub(super) async fn wanted(id: String, app: Arc<App>, query: WantedQuery) -> Answered {
    let mut revisions = app.registry.lock().watch_wanted(&id, now_us())?;
    let news = revisions.wait_for(|revision| Some(*revision) != query.revision);
    tokio::select! {
        _ = tokio::time::timeout(LONG_POLL, news) => {}
        () = app.stopping() => return Err(Refusal::new("stopping", "the server is stopping")),
    }
    let (wanted, effects) = app.registry.lock().wanted(&id, Instant::now(), now_us())?;
    app.writer.commit(effects).await?;
    Ok(json(&wanted))
}

/// `POST /agents/{id}/batches`
pub(super) async fn batch(id: String, app: Arc<App>, body: Bytes) -> Answered {
    let bytes = body.len();
    let mut batch: Batch = parse(&body)?;
    drop(body);
    check(&batch)?;
    if bytes > SNAPSHOT_BYTES {
        refuse_giants(&mut batch);
    }
    let received_at = now_us();
    let (context, action_names) = {
        let mut registry = app.registry.lock();
        let context = registry.accept_batch(&id, &batch.session, received_at)?;
        (context, registry.action_names(&batch))
    };
    let job = BatchJob {
        context,
        action_names,
        received_at,
        batch,
        bytes,
    };
    Ok(json(&app.writer.store(job).await?))
}

/// `POST /agents/{id}/detach`
pub(super) async fn detach(id: String, app: Arc<App>) -> Answered {
    let effects = app
        .registry
        .lock()
        .request_detach(&id, Instant::now(), now_us())?;
    app.writer.commit(effects).await?;
    Ok(with_status(StatusCode::ACCEPTED, warp::reply()))
}

/// Takes out snapshots that are larger than any may be, and counts them as losses.
fn refuse_giants(batch: &mut Batch) {
    let losses = &mut batch.losses;
    batch.snapshots.retain(|event| {
        let size = serde_json::to_vec(&event.snapshot).map_or(0, |json| json.len());
        if size > SNAPSHOT_BYTES {
            losses.push(Loss {
                ts: event.ts,
                action_id: Some(event.action_id.to_string()),
                reason: "too_large".to_owned(),
                count: 1,
            });
        }
        size <= SNAPSHOT_BYTES
    });
}

fn check(batch: &Batch) -> Answer<()> {
    if batch.sequence == 0 {
        return Err(Refusal::bad_request("batches are numbered from 1"));
    }
    // DuckDB's timestamps end in the year 294247; beyond, the whole transaction would fail.
    const LATEST: i64 = 253_402_300_799_999_999;
    let times = batch.logs.iter().map(|log| log.ts);
    let times = times.chain(batch.coverage.iter().map(|row| row.ts));
    let times = times.chain(batch.losses.iter().map(|loss| loss.ts));
    let times = times.chain(batch.snapshots.iter().map(|event| event.ts));
    let times = times.chain(batch.metrics.iter().map(|row| row.ts));
    let times = times.chain(batch.overhead.iter().map(|row| row.ts));
    for ts in times.chain(batch.end.iter().map(|end| end.ts)) {
        if !(0..=LATEST).contains(&ts) {
            return Err(Refusal::bad_request("a time is out of range").detail(format!("ts {ts}")));
        }
    }
    Ok(())
}
