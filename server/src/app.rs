use tokio::sync::watch;

use crate::gate::Gate;
use crate::live::Hub;
use crate::registry::SharedRegistry;
use crate::store::{Queries, WriterHandle};

/// What every request can reach.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) registry: SharedRegistry,
    pub(crate) writer: WriterHandle,
    pub(crate) queries: Queries,
    pub(crate) hub: Hub,
    pub(crate) gate: Gate,
    /// The name of the user whose server this is.
    pub(crate) owner: String,
    pub(crate) state_dir: String,
    pub(crate) portal_url: String,
    pub(crate) started_at: i64,
    pub(crate) stopping: watch::Sender<bool>,
}

impl App {
    /// Begins to stop: no new connections, streams end, what was received is stored.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits until the server begins to stop.
    pub(crate) async fn stopping(&self) {
        let mut stopping = self.stopping.subscribe();
        // An error means that the sender is gone, and with it the server.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}
