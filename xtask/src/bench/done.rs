use anyhow::{Context, Result};

/// What a program says that it has done: `<word> <how often> <nanoseconds>`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) times: u64,
    nanos: u64,
}

impl Done {
    pub(super) fn parse(word: &str, line: &str) -> Result<Done> {
        let unexpected = || format!("unexpected: {line}");
        let numbers = line.strip_prefix(word).with_context(unexpected)?;
        let (times, nanos) = numbers.trim().split_once(' ').with_context(unexpected)?;
        Ok(Done {
            times: times.parse().with_context(unexpected)?,
            nanos: nanos.parse().with_context(unexpected)?,
        })
    }

    /// How often in a second.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(super) fn rate(&self) -> f64 {
        self.times as f64 * 1e9 / self.nanos as f64
    }
}
