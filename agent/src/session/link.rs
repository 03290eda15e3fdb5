use std::fmt;

use lr_protocol::{Batch, BatchAccepted, RegisterAgent, Registered, WantedActions};

use crate::client::{Client, ClientError};

/// What an agent asks of a server.
pub(crate) trait Server {
    async fn register(&self, agent: &RegisterAgent) -> Result<Registered, Refusal>;
    async fn wanted(&self, agent_id: &str, revision: u64) -> Result<WantedActions, Refusal>;
    async fn send_batch(&self, agent_id: &str, batch: &Batch) -> Result<BatchAccepted, Refusal>;
}

/// Why a request was not done, by what is to be done about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// Register again.
    UnknownSession,
    /// Do not send that again.
    Malformed(String),
    /// The server is there but cannot now.
    Later(String),
    /// Nobody is there, or not the one that we may talk to.
    NoWord(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownSession => write!(f, "the server does not know this session"),
            Refusal::Malformed(why) | Refusal::Later(why) | Refusal::NoWord(why) => {
                f.write_str(why)
            }
        }
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Refusal {
        let why = format!("{} ({})", error, error.code());
        match error.status() {
            Some(404 | 410) => Refusal::UnknownSession,
            Some(400 | 413 | 415 | 422) => Refusal::Malformed(why),
            Some(401 | 403) | None => Refusal::NoWord(why),
            Some(_) => Refusal::Later(why),
        }
    }
}

impl Server for Client {
    async fn register(&self, agent: &RegisterAgent) -> Result<Registered, Refusal> {
        Ok(Client::register(self, agent).await?)
    }

    async fn wanted(&self, agent_id: &str, revision: u64) -> Result<WantedActions, Refusal> {
        Ok(Client::wanted(self, agent_id, revision).await?)
    }

    async fn send_batch(&self, agent_id: &str, batch: &Batch) -> Result<BatchAccepted, Refusal> {
        Ok(Client::send_batch(self, agent_id, batch).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Endpoint;

    fn check(status: u16, expected: fn(String) -> Refusal) {
        let problem = lr_protocol::Problem {
            code: "some_code".to_owned(),
            title: "no".to_owned(),
            status,
            detail: String::new(),
            suggestions: Vec::new(),
        };
        let refusal = Refusal::from(ClientError::Problem(Box::new(problem)));
        assert_eq!(refusal, expected("no (some_code)".to_owned()), "{status}");
    }

    #[test]
    fn a_refusal_follows_from_the_status() {
        check(404, |_| Refusal::UnknownSession);
        for status in [400, 413, 422] {
            check(status, Refusal::Malformed);
        }
        for status in [401, 403] {
            check(status, Refusal::NoWord);
        }
        for status in [409, 429, 500, 503] {
            check(status, Refusal::Later);
        }
        let error = ClientError::Unreachable {
            endpoint: Endpoint::parse("/run/lr.sock").unwrap(),
            source: std::io::ErrorKind::ConnectionRefused.into(),
        };
        assert!(matches!(Refusal::from(error), Refusal::NoWord(_)));
    }
}
