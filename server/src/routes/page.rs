use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use warp::reply::{Reply as _, Response};
use warp::{Filter, get};

use super::{Answered, Route};

const HTML: &str = include_str!("../../../web/dist/index.html");
const SCRIPT: &str = include_str!("../../../web/dist/portal.js");
const STYLE: &str = include_str!("../../../web/dist/portal.css");
const ICON: &str = include_str!("../../../web/dist/icon.svg");

/// Only files of the portal itself, and no script inside the page: whatever a target's text may
/// contain, it cannot run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The portal's page and what belongs to it, embedded in the server.
pub(super) fn files() -> [Route; 4] {
    [
        warp::path!()
            .and(get())
            .then(async || file("text/html; charset=utf-8", HTML))
            .boxed(),
        warp::path!("portal.js")
            .and(get())
            .then(async || file("text/javascript; charset=utf-8", SCRIPT))
            .boxed(),
        warp::path!("portal.css")
            .and(get())
            .then(async || file("text/css; charset=utf-8", STYLE))
            .boxed(),
        warp::path!("icon.svg")
            .and(get())
            .then(async || file("image/svg+xml", ICON))
            .boxed(),
    ]
}

fn file(content_type: &'static str, text: &'static str) -> Answered {
    let mut response: Response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
