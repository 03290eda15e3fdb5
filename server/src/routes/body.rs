use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::reply::{Reply, Response};

use crate::problem::{Answer, Refusal};

/// Reads a JSON body.
pub(super) fn parse<T: DeserializeOwned>(body: &Bytes) -> Answer<T> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::bad_request("the body is not what this path takes").detail(error.to_string())
    })
}

pub(super) fn json<T: Serialize>(value: &T) -> Response {
    warp::reply::json(value).into_response()
}

pub(super) fn with_status(status: StatusCode, reply: impl Reply) -> Response {
    let mut response = reply.into_response();
    *response.status_mut() = status;
    response
}
