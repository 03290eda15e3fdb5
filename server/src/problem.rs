use http::StatusCode;
use lr_protocol::Problem;
use warp::reply::{Reply, Response};

/// What a handler answers: a value to send or the problem in its place.
pub(crate) type Answer<T> = Result<T, Refusal>;

/// A failed request on its way to the client.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(pub(crate) Box<Problem>);

impl warp::reject::Reject for Refusal {}

impl Refusal {
    /// A problem with this code; the HTTP status follows from the code.
    pub(crate) fn new(code: &str, title: impl Into<String>) -> Refusal {
        Refusal(Box::new(Problem {
            code: code.to_owned(),
            title: title.into(),
            status: status_of(code).as_u16(),
            detail: String::new(),
            suggestions: Vec::new(),
        }))
    }

    pub(crate) fn bad_request(title: impl Into<String>) -> Refusal {
        Refusal::new("bad_request", title)
    }

    pub(crate) fn not_found(title: impl Into<String>) -> Refusal {
        Refusal::new("not_found", title)
    }

    pub(crate) fn internal(title: impl Into<String>) -> Refusal {
        Refusal::new("internal", title)
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Refusal {
        self.0.detail = detail.into();
        self
    }

    pub(crate) fn suggest(mut self, suggestion: impl Into<String>) -> Refusal {
        self.0.suggestions.push(suggestion.into());
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.title)?;
        if !self.0.detail.is_empty() {
            write!(f, ": {}", self.0.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl Reply for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = warp::reply::json(&*self.0).into_response();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(
                http::header::RETRY_AFTER,
                http::HeaderValue::from_static("1"),
            );
        }
        response
    }
}

fn status_of(code: &str) -> StatusCode {
    match code {
        "unauthorized" => StatusCode::UNAUTHORIZED,
        "permission_denied" | "foreign_host" | "foreign_origin" => StatusCode::FORBIDDEN,
        "not_found" | "unknown_session" => StatusCode::NOT_FOUND,
        "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
        "request_timeout" => StatusCode::REQUEST_TIMEOUT,
        "already_attached" | "already_running" | "agent_detaching" | "process_gone"
        | "action_ended" | "version_conflict" => StatusCode::CONFLICT,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "too_many_attempts" => StatusCode::TOO_MANY_REQUESTS,
        "server_busy" | "stopping" => StatusCode::SERVICE_UNAVAILABLE,
        "internal" | "state_dir" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}
