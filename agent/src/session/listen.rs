use std::future::pending;
use std::time::Duration;

use lr_protocol::EndReason;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::{Refusal, Server, Session};
use crate::note::note;

/// A server holds the request until something changes; one that does not is not asked more often.
const PACE: Duration = Duration::from_millis(20);

impl<S: Server> Session<S> {
    /// Asks what is wanted and passes it on, for good.
    pub(super) async fn listen(&self) {
        let mut revision = 0;
        let mut backoff = Backoff::default();
        loop {
            let registered = self.registered();
            let not_before = Instant::now() + PACE;
            match self.server.wanted(&registered.agent_id, revision).await {
                Ok(wanted) => {
                    self.heard();
                    backoff.reset();
                    revision = wanted.revision;
                    let detach = wanted.detach;
                    self.orders.want(wanted, std::time::Instant::now());
                    if detach {
                        self.orders
                            .finish(EndReason::Detached, "detached as the server asked");
                        pending::<()>().await;
                    }
                    sleep_until(not_before).await;
                }
                Err(Refusal::UnknownSession) => {
                    self.heard();
                    self.renew(&registered.session).await;
                }
                Err(Refusal::Malformed(why) | Refusal::Later(why)) => {
                    self.heard();
                    note(&format!("cannot ask what is wanted: {why}"));
                    backoff.wait().await;
                }
                Err(Refusal::NoWord(why)) => {
                    note(&format!("cannot ask what is wanted: {why}"));
                    backoff.wait().await;
                }
            }
            if self.registered.borrow().session != registered.session {
                // Revisions count within a session.
                revision = 0;
            }
        }
    }
}
