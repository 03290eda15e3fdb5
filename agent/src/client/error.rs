use std::io;

use lr_protocol::Problem;

use super::Endpoint;

/// Why a request has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answered, or the connection broke before the answer was complete.
    #[error("cannot reach the server at {endpoint}: {source}")]
    Unreachable {
        endpoint: Endpoint,
        source: io::Error,
    },
    /// The server refused, and says why.
    #[error("{}", .0.title)]
    Problem(Box<Problem>),
    /// The answer is not one of this API.
    #[error("what listens at {endpoint} does not speak as an lr server: {what}")]
    Protocol { endpoint: Endpoint, what: String },
}

impl ClientError {
    pub fn code(&self) -> &str {
        match self {
            ClientError::Unreachable { .. } => "server_unreachable",
            ClientError::Problem(problem) => &problem.code,
            ClientError::Protocol { .. } => "protocol_mismatch",
        }
    }

    /// The HTTP status, where the server refused.
    pub fn status(&self) -> Option<u16> {
        match self {
            ClientError::Problem(problem) => Some(problem.status),
            ClientError::Unreachable { .. } | ClientError::Protocol { .. } => None,
        }
    }

    /// The same in the one shape that failures have for people and programs.
    pub fn to_problem(&self) -> Problem {
        match self {
            ClientError::Problem(problem) => problem.as_ref().clone(),
            ClientError::Unreachable { endpoint, .. } => Problem {
                code: self.code().into(),
                title: self.to_string(),
                status: 503,
                detail: String::new(),
                suggestions: match endpoint {
                    Endpoint::Unix(_) => vec!["`lr server status` says whether it runs".into()],
                    Endpoint::Tcp { .. } => {
                        vec!["check the address in --server or LR_SERVER".into()]
                    }
                },
            },
            ClientError::Protocol { .. } => Problem {
                code: self.code().into(),
                title: self.to_string(),
                status: 502,
                detail: String::new(),
                suggestions: vec!["check the address, and that both sides are lr".into()],
            },
        }
    }
}
