use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use lr_protocol::{DuplicateAction, EditAction, NewAction};
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
    let actions = app.registry.lock().list_actions(query.all);
    app.writer.stored().await;
    Ok(json(&actions))
}

/// `GET /actions/{id}`
pub(super) async fn one(id: String, app: Arc<App>) -> Answered {
    let action = app.registry.lock().action(&id)?;
    app.writer.stored().await;
    Ok(json(&action))
}

/// `PUT /actions/{id}`
pub(super) async fn edit(id: String, app: Arc<App>, body: Bytes) -> Answered {
    let edit: EditAction = parse(&body)?;
    let (action, effects) = app
        .registry
        .lock()
        .edit_action(&id, edit, Instant::now(), now_us())?;
    app.writer.commit(effects).await?;
    Ok(json(&action))
}

/// `POST /actions/{id}/retake`
pub(super) async fn retake(id: String, app: Arc<App>) -> Answered {
    let (action, effects) = app
        .registry
        .lock()
        .retake_action(&id, Instant::now(), now_us())?;
    app.writer.commit(effects).await?;
    Ok(json(&action))
}

/// `POST /actions/{id}/enable`
pub(super) async fn enable(id: String, app: Arc<App>) -> Answered {
    set_enabled(id, app, true).await
}

/// `POST /actions/{id}/disable`
pub(super) async fn disable(id: String, app: Arc<App>) -> Answered {
    set_enabled(id, app, false).await
}

async fn set_enabled(id: String, app: Arc<App>, enabled: bool) -> Answered {
    let (action, effects) =
        app.registry
            .lock()
            .set_enabled(&id, enabled, Instant::now(), now_us())?;
    app.writer.commit(effects).await?;
    Ok(json(&action))
}

/// `POST /actions/{id}/duplicate`
pub(super) async fn duplicate(id: String, app: Arc<App>, caller: Caller, body: Bytes) -> Answered {
    let different: DuplicateAction = match body.is_empty() {
        true => DuplicateAction::default(),
        false => parse(&body)?,
    };
    let created_by = caller.user(&app.owner);
    let (action, effects) = app.registry.lock().duplicate_action(
        &id,
        different,
        created_by,
        Instant::now(),
        now_us(),
    )?;
    app.writer.commit(effects).await?;
    Ok(with_status(StatusCode::CREATED, json(&action)))
}

/// `POST /actions/stop`: removes them all.
pub(super) async fn stop(app: Arc<App>) -> Answered {
    let (stopped, effects) = app.registry.lock().stop_all(Instant::now(), now_us());
    app.writer.commit(effects).await?;
    Ok(json(&stopped))
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
