use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::tell::tell;

/// What takes longer than that is told.
const PATIENCE: Duration = Duration::from_millis(500);

/// The same for work that blocks.
pub(crate) fn telling_meanwhile<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (done, until_done) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if until_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                tell!("{what}…");
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Waits for something, and says on standard error what for if that takes a while.
pub(crate) async fn telling<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => tell!("{what}…"),
    }
    work.await
}
