use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderName};
use lr_protocol::{QueryFormat, QueryRequest};
use warp::reply::{Reply as _, Response};

use super::Answered;
use super::body::{json, parse};
use crate::app::App;
use crate::problem::Refusal;
use crate::store::{QueryLimits, csv};

/// `POST /query`
pub(super) async fn run(app: Arc<App>, body: Bytes) -> Answered {
    let request: QueryRequest = parse(&body)?;
    if request.format == QueryFormat::Parquet {
        return Err(
            Refusal::new("unsupported_format", "Parquet is not supported yet")
                .suggest("ask for csv or json"),
        );
    }
    let mut limits = QueryLimits::default();
    if let Some(max_rows) = request.max_rows {
        limits.max_rows = usize::try_from(max_rows).unwrap_or(usize::MAX);
    }
    let result = app.queries.run(request.sql, request.params, limits).await?;
    if request.format == QueryFormat::Json {
        return Ok(json(&result));
    }
    let mut response: Response = csv(&result.columns, &result.rows).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    // The body has no place for it, and a cut result must say so.
    headers.insert(
        HeaderName::from_static("lr-truncated"),
        HeaderValue::from_static(if result.truncated { "true" } else { "false" }),
    );
    Ok(response)
}
