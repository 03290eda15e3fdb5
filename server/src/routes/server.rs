use std::sync::Arc;

use http::StatusCode;
use lr_protocol::{PROTOCOL_VERSION, ServerInfo};

use super::Answered;
use super::body::{json, with_status};
use crate::app::App;

/// `GET /server`
pub(super) async fn info(app: Arc<App>) -> Answered {
    let (agents, leases) = {
        let registry = app.registry.lock();
        (registry.live_agents(), registry.open_leases())
    };
    Ok(json(&ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_version: PROTOCOL_VERSION,
        pid: std::process::id(),
        started_at: app.started_at,
        state_dir: app.state_dir.clone(),
        portal: app.portal_url.clone(),
        agents: u32::try_from(agents).unwrap_or(u32::MAX),
        leases: u32::try_from(leases).unwrap_or(u32::MAX),
    }))
}

/// `POST /server/stop`
pub(super) async fn stop(app: Arc<App>) -> Answered {
    app.stop();
    Ok(with_status(StatusCode::ACCEPTED, warp::reply()))
}
