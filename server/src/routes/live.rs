use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Deserialize;
use warp::reply::{Reply as _, Response};

use super::Answered;
use crate::app::App;
use crate::id::MAX_SHORT_TEXT;
use crate::live::{Filter, Line, Listener};
use crate::problem::Refusal;
use crate::registry::LeaseHold;
use crate::store::{Shown, replay};

/// How often a stream without news says that it lives; also how soon a lost client is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Lines that go out together at most.
const CHUNK_LINES: usize = 256;

#[derive(Debug, Deserialize)]
pub(super) struct LiveQuery {
    lease: Option<String>,
    action: Option<String>,
    agent: Option<String>,
    since_s: Option<u64>,
}

/// `GET /live`
pub(super) async fn stream(app: Arc<App>, query: LiveQuery) -> Answered {
    for text in [&query.lease, &query.action, &query.agent]
        .into_iter()
        .flatten()
    {
        if text.len() > MAX_SHORT_TEXT {
            return Err(Refusal::bad_request("a filter is too long"));
        }
    }
    let filter = Filter {
        lease: query.lease.clone(),
        action: query.action,
        agent: query.agent,
    };
    // Listened before the store is asked: what is committed in between comes twice, and once is
    // taken out again by its number.
    let listener = app.hub.listen(filter.clone());
    let hold = query
        .lease
        .map(|lease| LeaseHold::new(app.registry.clone(), lease));
    let mut pending = VecDeque::from([first_comment(hold.is_some())]);
    let mut shown = Shown::default();
    if let Some(since_s) = query.since_s {
        let replayed = replay(&app.queries, filter, since_s).await?;
        pending.extend(replayed.lines);
        shown = replayed.shown;
    }
    let tail = Tail {
        app,
        listener,
        pending,
        shown,
        _hold: hold,
    };
    let mut response: Response = warp::reply::stream(tail.into_stream()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn first_comment(lease: bool) -> Arc<str> {
    if lease { ": lease\n\n" } else { ": live\n\n" }.into()
}

/// A stream on its way to one client.
struct Tail {
    app: Arc<App>,
    listener: Listener,
    /// What is sent before anything new.
    pending: VecDeque<Arc<str>>,
    /// The last numbers that a replay has shown.
    shown: Shown,
    _hold: Option<LeaseHold>,
}

impl Tail {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut tail| {
            let chunk = tail.next_chunk().await?;
            Some((Ok(chunk), tail))
        })
    }

    /// The next piece of the stream; `None` at its end.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        let mut chunk = String::new();
        while let Some(line) = self.pending.pop_front() {
            chunk.push_str(&line);
            if chunk.len() > 64 << 10 {
                return Some(chunk.into());
            }
        }
        if !chunk.is_empty() {
            return Some(chunk.into());
        }
        let first = tokio::select! {
            () = self.app.stopping() => return None,
            line = tokio::time::timeout(KEEP_ALIVE, self.listener.next()) => line,
        };
        let Ok(first) = first else {
            return Some(Bytes::from_static(b":\n\n"));
        };
        self.take(first?, &mut chunk);
        for _ in 1..CHUNK_LINES {
            match self.listener.try_next() {
                Some(line) => self.take(line, &mut chunk),
                None => break,
            }
        }
        if chunk.is_empty() {
            chunk.push_str(":\n\n");
        }
        Some(chunk.into())
    }

    fn take(&self, line: Line, chunk: &mut String) {
        let shown = line.number.as_ref().map(|number| self.shown.has(number));
        if shown != Some(true) {
            chunk.push_str(&line.text);
        }
    }
}
