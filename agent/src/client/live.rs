use lr_protocol::LiveEvent;

use super::ClientError;
use super::request::Download;
use super::routes::encoded;
use super::sse::SseParser;

/// Whose events a client wants to see as they are stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LiveQuery {
    /// Holds the lease while it is open.
    Lease(String),
    /// Those that fit all that is given.
    Tail {
        action: Option<String>,
        agent: Option<String>,
        /// First those of the last so many seconds, from the store.
        since_s: Option<u64>,
    },
}

impl LiveQuery {
    pub(super) fn path(&self) -> String {
        let mut path = String::from("/live");
        let mut add = |name: &str, value: &str| {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&format!("{name}={}", encoded(value)));
        };
        match self {
            LiveQuery::Lease(lease) => add("lease", lease),
            LiveQuery::Tail {
                action,
                agent,
                since_s,
            } => {
                if let Some(action) = action {
                    add("action", action);
                }
                if let Some(agent) = agent {
                    add("agent", agent);
                }
                if let Some(since_s) = since_s {
                    add("since_s", &since_s.to_string());
                }
            }
        }
        path
    }
}

/// Events in the order in which they were stored.
#[derive(Debug)]
pub struct LiveStream {
    download: Download,
    parser: SseParser,
}

impl LiveStream {
    pub(super) fn new(download: Download) -> LiveStream {
        LiveStream {
            download,
            parser: SseParser::default(),
        }
    }

    /// The next event; `None` is the server's end of the stream. May be dropped and called again:
    /// no event is lost.
    pub async fn next(&mut self) -> Result<Option<LiveEvent>, ClientError> {
        loop {
            if let Some(data) = self.parser.next_event() {
                let event = serde_json::from_slice(&data)
                    .map_err(|error| self.not_understood(format!("a live event: {error}")))?;
                return Ok(Some(event));
            }
            match self.download.chunk().await? {
                Some(bytes) => self
                    .parser
                    .push(&bytes)
                    .map_err(|error| self.not_understood(error.to_string()))?,
                None => return Ok(None),
            }
        }
    }

    fn not_understood(&self, what: String) -> ClientError {
        ClientError::Protocol {
            endpoint: self.download.endpoint().clone(),
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_what_is_given() {
        assert_eq!(LiveQuery::Lease("a b".into()).path(), "/live?lease=a%20b");
        let tail = |action: Option<&str>, agent: Option<&str>, since_s| LiveQuery::Tail {
            action: action.map(str::to_string),
            agent: agent.map(str::to_string),
            since_s,
        };
        assert_eq!(tail(None, None, None).path(), "/live");
        assert_eq!(
            tail(Some("x"), Some("y"), Some(300)).path(),
            "/live?action=x&agent=y&since_s=300"
        );
    }
}
