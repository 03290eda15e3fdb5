use std::time::Duration;

use tokio::time::sleep;

/// Waits longer each time, up to a bound that a server which comes back does not mind.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(3);

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { next: FIRST }
    }
}

impl Backoff {
    pub(crate) async fn wait(&mut self) {
        sleep(self.next).await;
        self.next = (self.next * 2).min(LONGEST);
    }

    pub(crate) fn reset(&mut self) {
        *self = Backoff::default();
    }
}
