/// A number for people: whole ones as they are, others with three digits behind the point or, where
/// that says nothing, four that count.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || value == value.trunc() && size < 1e15 {
        return format!("{value}");
    }
    if !(0.01..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, text) in [
            (0.0, "0"),
            (-3.0, "-3"),
            (1e6, "1000000"),
            (38.8333, "38.833"),
            (8.75, "8.75"),
            (0.0123, "0.012"),
            (0.000_123_45, "1.234e-4"),
            (1e300, "1.000e300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
