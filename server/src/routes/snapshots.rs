use std::sync::Arc;

use super::Answered;
use super::body::json;
use crate::app::App;
use crate::store::snapshot_of;

/// `GET /snapshots/{id}`: as it was told live.
pub(super) async fn one(id: String, app: Arc<App>) -> Answered {
    Ok(json(&snapshot_of(&app.queries, id).await?))
}
