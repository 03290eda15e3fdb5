use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use lr_protocol::{API_PREFIX, Problem};

use super::connection::{Connections, Sender, no_answer_within};
use super::{ClientError, Endpoint, Token};

/// What an answer may be long, unless it is a download: thousands of actions are below it.
pub(super) const ANSWER_LIMIT: usize = 64 << 20;
/// The same of a query: the largest allowed number of rows is below it.
pub(super) const ROWS_LIMIT: usize = 512 << 20;

/// One request, before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub method: Method,
    /// Below [`API_PREFIX`].
    pub path: String,
    /// JSON.
    pub body: Option<Bytes>,
    pub limit: Duration,
    /// The most bytes of an answer.
    pub most: usize,
    /// Whether doing it twice is the same as doing it once.
    pub repeatable: bool,
}

/// Sends requests over a few connections that are kept open.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    connections: Arc<Connections>,
    token: Option<Token>,
}

/// An answer that is read piece by piece.
#[derive(Debug)]
pub struct Download {
    body: Incoming,
    endpoint: Endpoint,
    /// The connection lives as long as its sender.
    _sender: Sender,
}

impl Download {
    /// The next piece; `None` is the end. May be dropped and called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| from_hyper(&self.endpoint, error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Transport {
    pub(super) fn new(endpoint: Endpoint, token: Option<Token>) -> Transport {
        Transport {
            connections: Arc::new(Connections::new(endpoint)),
            token,
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        self.connections.endpoint()
    }

    /// The whole answer's body.
    pub(super) async fn whole(&self, ask: &Ask) -> Result<Bytes, ClientError> {
        let whole = async {
            let (response, sender) = self.send(ask).await?;
            let (status, body) = self.read(response, ask.most).await?;
            self.connections.give_back(sender);
            match status.is_success() {
                true => Ok(body),
                false => Err(self.refusal(status, &body)),
            }
        };
        tokio::time::timeout(ask.limit, whole)
            .await
            .unwrap_or_else(|_| Err(self.unreachable(no_answer_within(ask.limit))))
    }

    /// The answer as it comes; the time limit holds for its beginning only.
    pub(super) async fn download(&self, ask: &Ask) -> Result<Download, ClientError> {
        let begin = async {
            let (response, sender) = self.send(ask).await?;
            if !response.status().is_success() {
                let (status, body) = self.read(response, ask.most).await?;
                return Err(self.refusal(status, &body));
            }
            Ok(Download {
                body: response.into_body(),
                endpoint: self.endpoint().clone(),
                _sender: sender,
            })
        };
        tokio::time::timeout(ask.limit, begin)
            .await
            .unwrap_or_else(|_| Err(self.unreachable(no_answer_within(ask.limit))))
    }

    pub(super) fn not_understood(&self, what: impl Into<String>) -> ClientError {
        ClientError::Protocol {
            endpoint: self.endpoint().clone(),
            what: what.into(),
        }
    }

    async fn send(&self, ask: &Ask) -> Result<(Response<Incoming>, Sender), ClientError> {
        // A kept connection may have been closed by the server just now. A request that did not
        // leave, or that does no harm twice, is sent again over a new one.
        if let Some(mut sender) = self.connections.reuse().await {
            match sender.try_send_request(self.request(ask)?).await {
                Ok(response) => return Ok((response, sender)),
                Err(failed) if failed.message().is_some() || ask.repeatable => {}
                Err(failed) => return Err(from_hyper(self.endpoint(), failed.into_error())),
            }
        }
        let mut sender = self
            .connections
            .open()
            .await
            .map_err(|source| self.unreachable(source))?;
        match sender.send_request(self.request(ask)?).await {
            Ok(response) => Ok((response, sender)),
            Err(error) => Err(from_hyper(self.endpoint(), error)),
        }
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(format!("{API_PREFIX}{}", ask.path))
            .header(header::HOST, self.endpoint().authority())
            .header(
                header::USER_AGENT,
                concat!("lr/", env!("CARGO_PKG_VERSION")),
            );
        // The socket's own permissions say who may use it.
        if let (Endpoint::Tcp { .. }, Some(token)) = (self.endpoint(), &self.token) {
            request = request.header(header::AUTHORIZATION, token.header());
        }
        if ask.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(ask.body.clone().unwrap_or_default()))
            .map_err(|error| self.not_understood(format!("cannot ask for {}: {error}", ask.path)))
    }

    async fn read(
        &self,
        response: Response<Incoming>,
        most: usize,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), most)
            .collect()
            .await
            .map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => from_hyper(self.endpoint(), *error),
                Err(error) if error.is::<LengthLimitError>() => {
                    self.not_understood(format!("an answer longer than {most} bytes"))
                }
                Err(error) => self.not_understood(error.to_string()),
            })?;
        Ok((status, body.to_bytes()))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => ClientError::Problem(Box::new(problem)),
            Err(_) => self.not_understood(format!("status {status} without a problem in its body")),
        }
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        ClientError::Unreachable {
            endpoint: self.endpoint().clone(),
            source,
        }
    }
}

fn from_hyper(endpoint: &Endpoint, error: hyper::Error) -> ClientError {
    if error.is_parse() {
        return ClientError::Protocol {
            endpoint: endpoint.clone(),
            what: error.to_string(),
        };
    }
    let cause = error.source().and_then(|e| e.downcast_ref::<io::Error>());
    let source = match cause {
        Some(cause) => io::Error::new(cause.kind(), cause.to_string()),
        None if error.is_incomplete_message() => io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection was closed before the answer was complete",
        ),
        None => io::Error::other(error),
    };
    ClientError::Unreachable {
        endpoint: endpoint.clone(),
        source,
    }
}
