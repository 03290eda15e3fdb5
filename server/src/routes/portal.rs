use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};
use lr_protocol::{PortalCode, PortalLogin};

use super::Answered;
use super::body::{json, parse, with_status};
use crate::app::App;
use crate::portal::{CODE_LIFETIME, COOKIE};
use crate::problem::Refusal;

/// `POST /portal/codes`
pub(super) async fn new_code(app: Arc<App>) -> Answered {
    let code = app.gate.portal.new_code(Instant::now());
    Ok(json(&PortalCode {
        url: format!("{}/#code={code}", app.portal_url),
        expires_in_s: CODE_LIFETIME.as_secs(),
    }))
}

/// `POST /portal/session`
pub(super) async fn enter(app: Arc<App>, body: Bytes) -> Answered {
    let login: PortalLogin = parse(&body)?;
    let secret = app.gate.portal.enter(&login.code, Instant::now())?;
    let cookie = format!("{COOKIE}={secret}; HttpOnly; SameSite=Strict; Path=/");
    let cookie = HeaderValue::from_str(&cookie)
        .map_err(|error| Refusal::internal("cannot set the cookie").detail(error.to_string()))?;
    let mut response = with_status(StatusCode::NO_CONTENT, warp::reply());
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}
