use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderName};
use lr_protocol::{QueryFormat, QueryRequest};
use warp::reply::{Reply as _, Response};

use super::Answered;
use super::body::{json, parse};
use crate::app::App;
use crate::store::{QueryLimits, csv};

const CSV: &str = "text/csv; charset=utf-8; header=present";
const PARQUET: &str = "application/vnd.apache.parquet";

/// `POST /query`
pub(super) async fn run(app: Arc<App>, body: Bytes) -> Answered {
    let request: QueryRequest = parse(&body)?;
    let mut limits = QueryLimits::default();
    if let Some(max_rows) = request.max_rows {
        limits.max_rows = usize::try_from(max_rows).unwrap_or(usize::MAX);
    }
    let QueryRequest { sql, params, .. } = request;
    match request.format {
        QueryFormat::Json => Ok(json(&app.queries.run(sql, params, limits).await?)),
        QueryFormat::Csv => {
            let result = app.queries.run(sql, params, limits).await?;
            let text = csv(&result.columns, &result.rows);
            Ok(file(CSV, text.into_response(), result.truncated))
        }
        QueryFormat::Parquet => {
            let exported = app.queries.export(sql, params, limits).await?;
            let bytes = Response::new(exported.file.into());
            Ok(file(PARQUET, bytes, exported.truncated))
        }
    }
}

fn file(content_type: &'static str, mut response: Response, truncated: bool) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The body has no place for it, and a cut result must say so.
    headers.insert(
        HeaderName::from_static("lr-truncated"),
        HeaderValue::from_static(if truncated { "true" } else { "false" }),
    );
    response
}
