use super::super::{Contents, Look, Typed};
use super::read::{family, signed};
use super::template::{type_argument, value_argument};
use crate::value::evaluate::Result;
use crate::value::shape::Shape;
use crate::value::tree::Kind;

/// Seconds from the epoch of libstdc++'s file clock, 2174, back to that of Unix
/// (`std::filesystem::__file_clock`).
const FILE_EPOCH: i128 = 6_437_664_000;

/// Ticks, and how many seconds one of them is as a fraction.
struct Ticks {
    number: Number,
    period: (u64, u64),
}

enum Number {
    Int(i128),
    /// As it is written.
    Float(String),
}

/// A `duration`, whose ticks are in `ticks`.
pub(in crate::value) fn duration<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    ticks: &Typed,
) -> Result<Option<Contents<'a>>> {
    let Some(ticks) = read(look, object, ticks)? else {
        return Ok(None);
    };
    Ok(Some(word(written(&ticks))))
}

/// A `time_point`; `since` is its duration, and `ticks` the number in that.
pub(in crate::value) fn time_point<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    since: &Typed,
    ticks: &Typed,
) -> Result<Option<Contents<'a>>> {
    let Some(ticks) = read(look, since, ticks)? else {
        return Ok(None);
    };
    let clock = type_argument(look, object.of, "_Clock")?.flatten();
    let clock = look.name(clock)?;
    let epoch = match family(&clock) {
        "system_clock" | "_FilesystemClock" => Some(0),
        "__file_clock" => Some(FILE_EPOCH),
        _ => None,
    };
    let date = epoch.and_then(|epoch| date(&ticks, epoch));
    Ok(Some(word(date.unwrap_or_else(|| written(&ticks)))))
}

fn word<'a>(text: String) -> Contents<'a> {
    Contents::Scalar {
        kind: Kind::Struct,
        text,
    }
}

fn read(look: &Look<'_, '_>, duration: &Typed, ticks: &Typed) -> Result<Option<Ticks>> {
    let Some(period) = type_argument(look, duration.of, "_Period")?.flatten() else {
        return Ok(None);
    };
    let (Some(num), Some(den)) = (
        value_argument(look, Some(period), "_Num")?,
        value_argument(look, Some(period), "_Den")?,
    ) else {
        return Ok(None);
    };
    if num == 0 || den == 0 {
        return Ok(None);
    }
    let number = match look.shape(ticks.of)? {
        Shape::Base {
            encoding: gimli::DW_ATE_float,
            bytes: 4,
            ..
        } => {
            let float = f32::from_le_bytes(ticks.object.array(look.target)?);
            Number::Float(format!("{float:?}"))
        }
        Shape::Base {
            encoding: gimli::DW_ATE_float,
            bytes: 8,
            ..
        } => {
            let float = f64::from_le_bytes(ticks.object.array(look.target)?);
            Number::Float(format!("{float:?}"))
        }
        _ => match signed(look, ticks)? {
            Some(int) => Number::Int(int),
            None => return Ok(None),
        },
    };
    Ok(Some(Ticks {
        number,
        period: (num, den),
    }))
}

/// A duration as people write it: decimal fractions of seconds in the largest unit that leaves a
/// whole number before the point.
fn written(ticks: &Ticks) -> String {
    let own = own_unit(ticks.period);
    match (&ticks.number, decimals(ticks.period)) {
        (Number::Int(int), Some(digits)) if *int != 0 => decimal(*int, digits),
        (Number::Int(int), _) => format!("{int}{own}"),
        (Number::Float(float), _) => format!("{float}{own}"),
    }
}

/// What `operator<<` of C++20 writes.
fn own_unit(period: (u64, u64)) -> String {
    match period {
        (1, 1_000_000_000_000) => "ps".to_owned(),
        (1, 1_000_000_000) => "ns".to_owned(),
        (1, 1_000_000) => "µs".to_owned(),
        (1, 1_000) => "ms".to_owned(),
        (1, 1) => "s".to_owned(),
        (60, 1) => "min".to_owned(),
        (3_600, 1) => "h".to_owned(),
        (86_400, 1) => "d".to_owned(),
        (num, 1) => format!("[{num}]s"),
        (num, den) => format!("[{num}/{den}]s"),
    }
}

/// How many decimals of a second a period is; `None` where it is no power of ten.
fn decimals(period: (u64, u64)) -> Option<u32> {
    if period.0 != 1 {
        return None;
    }
    let digits = period.1.ilog10();
    (10u64.checked_pow(digits)? == period.1).then_some(digits)
}

/// A number of `10^-digits` seconds, which is not 0.
fn decimal(int: i128, digits: u32) -> String {
    let size = int.unsigned_abs();
    let mut chosen = (digits, digits.div_ceil(3) * 3);
    for shift in (0..=digits).step_by(3) {
        // In units of `10^-shift` seconds.
        if size >= 10u128.pow(digits - shift) {
            chosen = (digits - shift, shift);
            break;
        }
    }
    let (below, shift) = chosen;
    let unit = match shift {
        0 => "s",
        3 => "ms",
        6 => "µs",
        9 => "ns",
        12 => "ps",
        15 => "fs",
        _ => "as",
    };
    let below = if shift > digits { 0 } else { below };
    let scale = 10u128.pow(below);
    let (whole, rest) = match shift > digits {
        true => (size * 10u128.pow(shift - digits), 0),
        false => (size / scale, size % scale),
    };
    let sign = if int < 0 { "-" } else { "" };
    if rest == 0 {
        return format!("{sign}{whole}{unit}");
    }
    let width = usize::try_from(below).unwrap_or(0);
    let rest = format!("{rest:0width$}");
    format!("{sign}{whole}.{}{unit}", rest.trim_end_matches('0'))
}

/// A time as ISO 8601 writes it; `None` of those that are no year of ours.
fn date(ticks: &Ticks, epoch: i128) -> Option<String> {
    let Number::Int(int) = ticks.number else {
        return None;
    };
    let (num, den) = (i128::from(ticks.period.0), i128::from(ticks.period.1));
    let digits = match den {
        1 => 0,
        _ => decimals(ticks.period)?,
    };
    let scaled = int.checked_mul(num)?;
    let seconds = scaled.div_euclid(den).checked_add(epoch)?;
    let rest = scaled.rem_euclid(den);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days)?;
    let mut text = format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        second / 3_600,
        second / 60 % 60,
        second % 60
    );
    if digits > 0 {
        let width = usize::try_from(digits).ok()?;
        text.push_str(&format!(".{rest:0width$}"));
    }
    text.push('Z');
    Some(text)
}

/// Days since 1970 as a date of the proleptic Gregorian calendar. The year begins in March here, so
/// that the day that some years have more is its last.
fn civil(days: i128) -> Option<(i128, i128, i128)> {
    /// From 0000-03-01 to 1970-01-01.
    const SHIFT: i128 = 719_468;
    /// Days of 400 years.
    const ERA: i128 = 146_097;
    let days = days.checked_add(SHIFT)?;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = match month {
        0..=9 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    let year = era.checked_mul(400)?.checked_add(year + later)?;
    (0..=9_999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(number: i128, period: (u64, u64)) -> Ticks {
        Ticks {
            number: Number::Int(number),
            period,
        }
    }

    #[test]
    fn durations_are_written_exactly() {
        let check = |number: i128, period: (u64, u64), expected: &str| {
            assert_eq!(written(&int(number, period)), expected);
        };
        let nano = (1, 1_000_000_000);
        check(0, nano, "0ns");
        check(1, nano, "1ns");
        check(999, nano, "999ns");
        check(1_000, nano, "1µs");
        check(-2_500, (1, 1_000_000), "-2.5ms");
        check(1_500_000_000, nano, "1.5s");
        check(1_000_000_001, nano, "1.000000001s");
        check(250, (1, 1_000), "250ms");
        check(3_600, (1, 1), "3600s");
        check(90, (60, 1), "90min");
        check(45, (1, 30), "45[1/30]s");
        check(5, (1, 100), "50ms");
        check(150, (1, 100), "1.5s");
        check(i128::from(i64::MIN), nano, "-9223372036.854775808s");
        check(7, (1, 1_000_000_000_000_000_000), "7as");
    }

    #[test]
    fn times_are_dates() {
        let check = |number: i128, period: (u64, u64), expected: Option<&str>| {
            assert_eq!(date(&int(number, period), 0).as_deref(), expected);
        };
        check(0, (1, 1), Some("1970-01-01T00:00:00Z"));
        check(-1, (1, 1_000), Some("1969-12-31T23:59:59.999Z"));
        check(951_782_400, (1, 1), Some("2000-02-29T00:00:00Z"));
        check(
            1_767_323_045_678,
            (1, 1_000),
            Some("2026-01-02T03:04:05.678Z"),
        );
        check(
            i128::from(i64::MAX),
            (1, 1_000_000_000),
            Some("2262-04-11T23:47:16.854775807Z"),
        );
        check(20_000, (86_400, 1), Some("2024-10-04T00:00:00Z"));
        check(i128::MAX, (60, 1), None);
        check(i128::MIN, (1, 1), None);
    }
}
