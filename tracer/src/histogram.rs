//! How often values of each size were seen. The bounds are the same in every histogram: each
//! power of two is split into eight, so that a value is known to an eighth of itself, and its
//! middle to a sixteenth.

/// Parts of a power of two: three bits of the significand.
const PART_BITS: u32 = 3;
/// Powers of two that are told apart; what is closer to zero counts as zero.
const SMALLEST: i16 = -40;
const LARGEST: i16 = 64;
/// Bits of the significand of a double that do not choose a bucket (IEEE 754, binary64).
const SHIFT: u32 = 52 - PART_BITS;
const EXPONENT_BIAS: i16 = 1023;
/// Buckets of one sign: about zero, of each part, and above.
const ONE_SIGN: usize = (LARGEST - SMALLEST).unsigned_abs() as usize * (1 << PART_BITS) + 2;

/// Buckets there are.
pub(crate) const BUCKETS: usize = 2 * ONE_SIGN;

/// So many values from `lo` up to `hi`, which is in the next bucket.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    pub lo: f64,
    pub hi: f64,
    pub count: u64,
}

/// The bucket of a finite value.
pub(crate) fn bucket_of(value: f64) -> usize {
    let bits = value.abs().to_bits();
    if value.is_sign_positive() || bits == 0 {
        ONE_SIGN + distance(bits)
    } else {
        // Below zero the bound that is part of a bucket is the one farther from zero.
        ONE_SIGN - 1 - distance(bits - 1)
    }
}

/// The bounds of a bucket. There is nothing beyond the largest doubles.
pub(crate) fn bounds(bucket: usize) -> (f64, f64) {
    match bucket.checked_sub(ONE_SIGN) {
        Some(distance) => magnitudes(distance),
        None => {
            let (lo, hi) = magnitudes(ONE_SIGN - 1 - bucket);
            (-hi, -lo)
        }
    }
}

/// How many buckets of its sign are closer to zero.
fn distance(bits: u64) -> usize {
    let part = bits >> SHIFT;
    let first = first_part();
    match part.checked_sub(first) {
        None => 0,
        Some(above) => usize::try_from(above)
            .unwrap_or(usize::MAX)
            .saturating_add(1)
            .min(ONE_SIGN - 1),
    }
}

fn magnitudes(distance: usize) -> (f64, f64) {
    let at = |part: u64| f64::from_bits((first_part() + part) << SHIFT);
    let distance_from_first = (distance as u64).saturating_sub(1);
    match distance {
        0 => (0.0, at(0)),
        last if last == ONE_SIGN - 1 => (at(distance_from_first), f64::MAX),
        _ => (at(distance_from_first), at(distance_from_first + 1)),
    }
}

const fn first_part() -> u64 {
    ((EXPONENT_BIAS + SMALLEST).unsigned_abs() as u64) << PART_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, lo: f64, hi: f64) {
        assert_eq!(bounds(bucket_of(value)), (lo, hi), "{value}");
    }

    #[test]
    fn powers_of_two_are_split_into_eight() {
        check(1.0, 1.0, 1.125);
        check(1.124, 1.0, 1.125);
        check(1.125, 1.125, 1.25);
        check(15.0, 15.0, 16.0);
        check(1000.0, 960.0, 1024.0);
        check(-1.0, -1.0, -0.9375);
        check(-1.1, -1.125, -1.0);
        check(-1.125, -1.125, -1.0);
        check(-1000.0, -1024.0, -960.0);
    }

    #[test]
    fn zero_and_what_is_very_small_or_large_have_buckets() {
        let tiny = 2f64.powi(-40);
        check(0.0, 0.0, tiny);
        check(-0.0, 0.0, tiny);
        check(f64::MIN_POSITIVE, 0.0, tiny);
        check(-f64::MIN_POSITIVE, -tiny, -0.0);
        check(tiny, tiny, tiny * 1.125);
        let huge = 2f64.powi(64);
        check(f64::MAX, huge, f64::MAX);
        check(f64::MIN, -f64::MAX, -huge);
        check(huge, huge, f64::MAX);
    }

    #[test]
    fn every_value_is_between_its_bounds_and_the_bounds_are_close() {
        let mut value = 2f64.powi(-40) * 1.0001;
        while value < 2f64.powi(64) {
            for value in [value, -value] {
                let bucket = bucket_of(value);
                assert!(bucket < BUCKETS);
                let (lo, hi) = bounds(bucket);
                assert!(lo <= value && value < hi, "{lo} {value} {hi}");
                assert!((hi - lo) / value.abs() <= 0.125);
            }
            value *= 1.001;
        }
    }

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        for bucket in 1..BUCKETS {
            assert!(bounds(bucket - 1).1 == bounds(bucket).0, "{bucket}");
        }
    }
}
