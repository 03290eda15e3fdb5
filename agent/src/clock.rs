use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch: for what people read. Deadlines use `Instant`.
pub(crate) fn now_micros() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// `2026-01-02T03:04:05.678901Z`, as in the contract of JSON lines.
pub(crate) fn rfc3339(micros: i64) -> String {
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(time) => format!("{time:.6}"),
        Err(_) => micros.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_utc_with_six_digits() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            rfc3339(1_767_323_045_678_901),
            "2026-01-02T03:04:05.678901Z"
        );
    }
}
