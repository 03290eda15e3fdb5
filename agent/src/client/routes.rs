use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use lr_protocol::{
    Action, Agent, Batch, BatchAccepted, DuplicateAction, EditAction, LiveSnapshot, NewAction,
    PortalCode, QueryRequest, QueryResult, RegisterAgent, Registered, ServerInfo, Stopped,
    WantedActions,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::live::LiveStream;
use super::request::{ANSWER_LIMIT, Ask, Download, ROWS_LIMIT, Transport};
use super::{ClientError, Endpoint, LiveQuery, Token};

/// For what the server answers at once.
const PROMPT: Duration = Duration::from_secs(30);

/// The server holds `wanted` for up to 20 s.
const LONG_POLL: Duration = Duration::from_secs(35);

/// The server ends a query after 30 s; the rest is for sending its result.
const QUERY: Duration = Duration::from_secs(120);

/// The API of one server. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
}

/// Which of the agents or actions that the server knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listing {
    /// Those that are still there.
    Current,
    /// Also those that ended.
    All,
}

impl Client {
    /// Connects with the first request. The token is sent over TCP only.
    pub fn new(endpoint: Endpoint, token: Option<Token>) -> Client {
        Client {
            transport: Transport::new(endpoint, token),
        }
    }

    pub fn endpoint(&self) -> &Endpoint {
        self.transport.endpoint()
    }

    pub async fn server_info(&self) -> Result<ServerInfo, ClientError> {
        self.json(&get("/server")).await
    }

    /// Returns when the server has understood; it ends after it has stored what it holds.
    pub async fn stop_server(&self) -> Result<(), ClientError> {
        self.done(&post("/server/stop", Bytes::new())).await
    }

    pub async fn register(&self, agent: &RegisterAgent) -> Result<Registered, ClientError> {
        self.json(&post("/agents", json(agent))).await
    }

    pub async fn agents(&self, listing: Listing) -> Result<Vec<Agent>, ClientError> {
        self.json(&get(&format!("/agents{}", listing.query())))
            .await
    }

    /// Waits, up to 20 s, until there is a revision other than this one.
    pub async fn wanted(&self, agent: &str, revision: u64) -> Result<WantedActions, ClientError> {
        let path = format!("/agents/{}/wanted?revision={revision}", encoded(agent));
        let ask = Ask {
            limit: LONG_POLL,
            ..get(&path)
        };
        self.json(&ask).await
    }

    pub async fn send_batch(
        &self,
        agent: &str,
        batch: &Batch,
    ) -> Result<BatchAccepted, ClientError> {
        self.send_batch_bytes(agent, json(batch)).await
    }

    /// The same for a batch that is JSON already, as it is kept for sending again.
    pub async fn send_batch_bytes(
        &self,
        agent: &str,
        batch: Bytes,
    ) -> Result<BatchAccepted, ClientError> {
        let ask = Ask {
            // The server stores a sequence number once.
            repeatable: true,
            ..post(&format!("/agents/{}/batches", encoded(agent)), batch)
        };
        self.json(&ask).await
    }

    pub async fn detach(&self, agent: &str) -> Result<(), ClientError> {
        let ask = Ask {
            repeatable: true,
            ..post(&format!("/agents/{}/detach", encoded(agent)), Bytes::new())
        };
        self.done(&ask).await
    }

    pub async fn new_action(&self, action: &NewAction) -> Result<Action, ClientError> {
        self.json(&post("/actions", json(action))).await
    }

    pub async fn actions(&self, listing: Listing) -> Result<Vec<Action>, ClientError> {
        self.json(&get(&format!("/actions{}", listing.query())))
            .await
    }

    pub async fn action(&self, id: &str) -> Result<Action, ClientError> {
        self.json(&get(&format!("/actions/{}", encoded(id)))).await
    }

    /// Refused with `version_conflict` if the action was edited since that version.
    pub async fn edit_action(&self, id: &str, edit: &EditAction) -> Result<Action, ClientError> {
        self.json(&put(&format!("/actions/{}", encoded(id)), json(edit)))
            .await
    }

    pub async fn enable_action(&self, id: &str) -> Result<Action, ClientError> {
        self.change(id, "enable", Bytes::new()).await
    }

    pub async fn disable_action(&self, id: &str) -> Result<Action, ClientError> {
        self.change(id, "disable", Bytes::new()).await
    }

    /// Starts an action from the beginning.
    pub async fn retake_action(&self, id: &str) -> Result<Action, ClientError> {
        self.change(id, "retake", Bytes::new()).await
    }

    pub async fn duplicate_action(
        &self,
        id: &str,
        different: &DuplicateAction,
    ) -> Result<Action, ClientError> {
        self.change(id, "duplicate", json(different)).await
    }

    /// Removes all actions.
    pub async fn stop_actions(&self) -> Result<Stopped, ClientError> {
        self.json(&post("/actions/stop", Bytes::new())).await
    }

    /// A stored snapshot, as it was told live.
    pub async fn snapshot(&self, id: &str) -> Result<LiveSnapshot, ClientError> {
        self.json(&get(&format!("/snapshots/{}", encoded(id))))
            .await
    }

    pub async fn remove_action(&self, id: &str) -> Result<(), ClientError> {
        self.done(&delete(&format!("/actions/{}", encoded(id))))
            .await
    }

    /// Returns when the server has begun to answer: what happens from then on is in the stream.
    pub async fn live(&self, query: &LiveQuery) -> Result<LiveStream, ClientError> {
        let ask = get(&query.path());
        Ok(LiveStream::new(self.transport.download(&ask).await?))
    }

    pub async fn end_lease(&self, lease: &str) -> Result<(), ClientError> {
        self.done(&delete(&format!("/leases/{}", encoded(lease))))
            .await
    }

    /// For requests whose format is JSON.
    pub async fn query(&self, request: &QueryRequest) -> Result<QueryResult, ClientError> {
        self.json(&query(request)).await
    }

    /// For the other formats: the answer as it comes.
    pub async fn query_download(&self, request: &QueryRequest) -> Result<Download, ClientError> {
        self.transport.download(&query(request)).await
    }

    pub async fn portal_code(&self) -> Result<PortalCode, ClientError> {
        self.json(&post("/portal/codes", Bytes::new())).await
    }

    async fn change(&self, id: &str, what: &str, body: Bytes) -> Result<Action, ClientError> {
        let path = format!("/actions/{}/{what}", encoded(id));
        self.json(&post(&path, body)).await
    }

    async fn done(&self, ask: &Ask) -> Result<(), ClientError> {
        self.transport.whole(ask).await.map(|_| ())
    }

    async fn json<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, ClientError> {
        let body = self.transport.whole(ask).await?;
        serde_json::from_slice(&body).map_err(|error| {
            self.transport
                .not_understood(format!("the answer to {}: {error}", ask.path))
        })
    }
}

impl Listing {
    fn query(self) -> &'static str {
        match self {
            Listing::Current => "",
            Listing::All => "?all=true",
        }
    }
}

fn get(path: &str) -> Ask {
    Ask {
        method: Method::GET,
        path: path.into(),
        body: None,
        limit: PROMPT,
        most: ANSWER_LIMIT,
        repeatable: true,
    }
}

fn delete(path: &str) -> Ask {
    Ask {
        method: Method::DELETE,
        ..get(path)
    }
}

fn post(path: &str, body: Bytes) -> Ask {
    Ask {
        method: Method::POST,
        body: (!body.is_empty()).then_some(body),
        repeatable: false,
        ..get(path)
    }
}

fn put(path: &str, body: Bytes) -> Ask {
    Ask {
        method: Method::PUT,
        ..post(path, body)
    }
}

fn query(request: &QueryRequest) -> Ask {
    Ask {
        limit: QUERY,
        most: ROWS_LIMIT,
        repeatable: true,
        ..post("/query", json(request))
    }
}

fn json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value)
        .expect("protocol types have string keys and no failing serializer")
        .into()
}

/// A part of a path or query: everything but unreserved characters as `%XX` (RFC 3986, 2.3).
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_types_stays_one_part_of_the_path() {
        assert_eq!(encoded("a2b3-x.y_z~"), "a2b3-x.y_z~");
        assert_eq!(encoded("../a?b#c d\n"), "..%2Fa%3Fb%23c%20d%0A");
        assert_eq!(encoded("ü"), "%C3%BC");
    }
}
