use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use super::Answered;
use super::body::with_status;
use crate::app::App;
use crate::clock::now_us;

/// `DELETE /leases/{lease}`: gives the lease up. Its stream may stay open until the end.
pub(super) async fn release(lease: String, app: Arc<App>) -> Answered {
    let effects = app
        .registry
        .lock()
        .release_lease(&lease, Instant::now(), now_us());
    app.writer.commit(effects).await?;
    Ok(with_status(StatusCode::NO_CONTENT, warp::reply()))
}
