use std::future::pending;
use std::time::Duration;

use lr_protocol::EndReason;
use tokio::time::{Instant, sleep_until};

use super::{Server, Session};

impl<S: Server> Session<S> {
    /// Ends the attachment when the server has been silent for as long as it may: nobody could
    /// take the actions away any more.
    pub(super) async fn watch_silence(&self) {
        loop {
            let limit = self.registered.borrow().disarm_after_s.max(1);
            let due = self.last_word.get() + Duration::from_secs(limit);
            if Instant::now() >= due {
                let message =
                    format!("no word from the server for {limit} s: everything was put back");
                self.orders.finish(EndReason::Failed, message);
                pending::<()>().await;
            }
            sleep_until(due).await;
        }
    }
}
