use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time of the API (RFC 3339 in UTC) on the user's clock, with its offset. What is no time is
/// shown as it is.
pub(crate) fn local(text: &str, zone: &TimeZone) -> String {
    match text.parse::<Timestamp>() {
        Ok(timestamp) => shown(timestamp, zone),
        Err(_) => crate::escape::escaped(text).into_owned(),
    }
}

/// The same for microseconds since the Unix epoch, to the second.
pub(crate) fn local_micros(micros: i64, zone: &TimeZone) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(timestamp) => timestamp
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S%:z")
            .to_string(),
        Err(_) => micros.to_string(),
    }
}

fn shown(timestamp: Timestamp, zone: &TimeZone) -> String {
    timestamp
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S%.3f%:z")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_with_its_offset() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(
            local("2026-01-02T23:04:05.678901Z", &zone),
            "2026-01-03 01:04:05.678+02:00"
        );
        assert_eq!(local("no\ttime", &zone), "no\\ttime");
    }

    #[test]
    fn microseconds_are_shown_to_the_second() {
        assert_eq!(
            local_micros(1_767_225_600_123_456, &TimeZone::UTC),
            "2026-01-01 00:00:00+00:00"
        );
    }
}
