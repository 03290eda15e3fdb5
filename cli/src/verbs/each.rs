//! The same for each of several actions.

use crate::failure::Failure;

/// Every one is tried; the exit status is that of the first that failed.
pub(super) async fn each(
    selectors: &[String],
    act: impl AsyncFn(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut first = Ok(());
    for selector in selectors {
        if let Err(failure) = act(selector).await {
            failure.tell();
            first = first.and(Err(Failure::Told(failure.exit_status())));
        }
    }
    first
}
