use std::time::Duration;

/// `500ms`, `10s`, `5m`, `1h`, `2d`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        "" if digits > 0 => return Err(format!("without a unit; did you mean `{number}s`?")),
        _ => return Err("expected a number and a unit, as in 500ms, 10s, 5m, 1h".into()),
    };
    let duration = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or("expected a number and a unit, as in 500ms, 10s, 5m, 1h")?;
    match duration.is_zero() {
        true => Err("must be longer than nothing".into()),
        false => Ok(duration),
    }
}

/// Whole seconds that contain it, which is what the API counts in.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn the_rest_is_refused() {
        for text in [
            "",
            "s",
            "-1s",
            "1.5s",
            "10",
            "0s",
            "1w",
            "1 s",
            "99999999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("10").unwrap_err().contains("10s"));
    }

    #[test]
    fn a_part_of_a_second_counts_as_one() {
        assert_eq!(whole_seconds(Duration::from_millis(500)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    }
}
