use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use lr_protocol::NewAction;
use serde::Deserialize;

use super::Answered;
use super::body::{json, parse, with_status};
use crate::app::App;
use crate::caller::Caller;
use crate::clock::now_us;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    all: bool,
}

/// `POST /actions`
pub(super) async fn create(app: Arc<App>, caller: Caller, body: Bytes) -> Answered {
    let new: NewAction = parse(&body)?;
    let created_by = caller.user(&app.owner);
    let (action, effects) =
        app.registry
            .lock()
            .create_action(new, created_by, Instant::now(), now_us())?;
    app.writer.commit(effects).await?;
    Ok(with_status(StatusCode::CREATED, json(&action)))
}

/// `GET /actions`
pub(super) async fn list(app: Arc<App>, query: ListQuery) -> Answered {
    Ok(json(&app.registry.lock().list_actions(query.all)))
}

/// `GET /actions/{id}`
pub(super) async fn one(id: String, app: Arc<App>) -> Answered {
    Ok(json(&app.registry.lock().action(&id)?))
}

/// `DELETE /actions/{id}`
pub(super) async fn remove(id: String, app: Arc<App>) -> Answered {
    let effects = app
        .registry
        .lock()
        .remove_action(&id, Instant::now(), now_us())?;
    app.writer.commit(effects).await?;
    Ok(with_status(StatusCode::NO_CONTENT, warp::reply()))
}
