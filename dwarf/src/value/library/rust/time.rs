use std::time::Duration;

use super::{Contents, Look, Typed, newtype};
use crate::value::evaluate::Result;
use crate::value::tree::{Absent, Kind, Reason};

const NANOS: u64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A `Duration` as Rust prints it: `3.045s`, `17ns`.
pub(super) fn duration<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(secs), Some(nanos)) = (
        newtype::member(look, object, "secs")?,
        newtype::member(look, object, "nanos")?,
    ) else {
        return Ok(None);
    };
    Ok(Some(told(nanos, |nanos| {
        format!("{:?}", Duration::new(secs, nanos))
    })))
}

/// An `Instant`: the time on the clock of its system, `CLOCK_MONOTONIC`.
pub(super) fn instant<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some((secs, nanos)) = timespec(look, object)? else {
        return Ok(None);
    };
    Ok(Some(told(nanos, |nanos| match u64::try_from(secs) {
        Ok(secs) => format!("{:?}", Duration::new(secs, nanos)),
        Err(_) => format!("{secs}s + {nanos}ns"),
    })))
}

/// A `SystemTime` in UTC: `2023-11-14T22:13:20.123456789Z`.
pub(super) fn system_time<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some((secs, nanos)) = timespec(look, object)? else {
        return Ok(None);
    };
    Ok(Some(told(nanos, |nanos| utc(secs, nanos))))
}

/// Seconds and nanoseconds of `Instant.0.t`.
fn timespec(look: &Look<'_, '_>, object: &Typed) -> Result<Option<(i64, u64)>> {
    let mut at = object.clone();
    for name in ["0", "t"] {
        if let Some(inner) = look.member(&at, name)? {
            at = inner;
        }
    }
    let (Some(secs), Some(nanos)) = (
        newtype::member(look, &at, "tv_sec")?,
        newtype::member(look, &at, "tv_nsec")?,
    ) else {
        return Ok(None);
    };
    Ok(Some((secs.cast_signed(), nanos)))
}

fn told<'a>(nanos: u64, text: impl FnOnce(u32) -> String) -> Contents<'a> {
    let kind = Kind::String;
    match u32::try_from(nanos) {
        Ok(nanos) if u64::from(nanos) < NANOS => Contents::Scalar {
            kind,
            text: text(nanos),
        },
        _ => Contents::Broken {
            kind,
            why: Absent::new(Reason::Size, format!("it has {nanos} nanoseconds")),
        },
    }
}

/// A time since 1970 in the Gregorian calendar, as ISO 8601 writes it.
fn utc(secs: i64, nanos: u32) -> String {
    let (days, second) = (secs.div_euclid(DAY), secs.rem_euclid(DAY));
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = match shifted_month {
        0..10 => shifted_month + 3,
        _ => shifted_month - 9,
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = match nanos {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::utc;

    /// The expectations are those of `date -u -d @SECONDS`.
    #[test]
    fn times_as_dates() {
        let check = |secs, nanos, expected: &str| assert_eq!(utc(secs, nanos), expected);
        check(0, 0, "1970-01-01T00:00:00Z");
        check(-1, 500_000_000, "1969-12-31T23:59:59.5Z");
        check(951_782_399, 1, "2000-02-28T23:59:59.000000001Z");
        check(951_782_400, 0, "2000-02-29T00:00:00Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00Z");
        check(-2_203_891_200, 0, "1900-03-01T00:00:00Z");
        check(i64::MAX, 0, "292277026596-12-04T15:30:07Z");
        check(i64::MIN, 0, "-292277022657-01-27T08:29:52Z");
    }
}
