//! Decimal numbers of C (ISO/IEC TS 18661-2) as text: the binary integer decimal encoding that the
//! System V psABI for x86-64 prescribes (IEEE 754, 3.5.2).

use super::scalar::not_finite;

/// A decimal interchange format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Decimal {
    /// Of the whole.
    bits: u32,
    /// Of the exponent.
    exponent: u32,
    /// What the exponent is less than it is written as.
    bias: i32,
    /// How many digits the coefficient has at most.
    digits: u32,
}

impl Decimal {
    pub(super) const D32: Decimal = Decimal {
        bits: 32,
        exponent: 8,
        bias: 101,
        digits: 7,
    };
    pub(super) const D64: Decimal = Decimal {
        bits: 64,
        exponent: 10,
        bias: 398,
        digits: 16,
    };
    pub(super) const D128: Decimal = Decimal {
        bits: 128,
        exponent: 14,
        bias: 6176,
        digits: 34,
    };

    /// The number as it was computed: `0.10` has one digit more than `0.1`.
    pub(super) fn text(self, word: u128) -> String {
        let is_negative = word >> (self.bits - 1) & 1 == 1;
        // What follows the sign tells the infinite, what is no number, and which of two forms the
        // others have.
        let top = word >> (self.bits - 6) & 0b11111;
        if top >= 0b11110 {
            return not_finite(top == 0b11111, is_negative);
        }
        let long = self.bits - 1 - self.exponent;
        let (coefficient_bits, above) = match top >> 3 {
            0b11 => (long - 2, 0b100),
            _ => (long, 0),
        };
        let exponent = word >> coefficient_bits & ((1 << self.exponent) - 1);
        let exponent = i32::try_from(exponent).expect("at most 14 bits") - self.bias;
        let coefficient = word & ((1 << coefficient_bits) - 1) | above << coefficient_bits;
        // A coefficient that is too large counts as none.
        let coefficient = match coefficient < 10u128.pow(self.digits) {
            true => coefficient,
            false => 0,
        };
        let sign = if is_negative { "-" } else { "" };
        format!("{sign}{}", written(&coefficient.to_string(), exponent))
    }
}

/// Digits times a power of ten, as `to-scientific-string` of the General Decimal Arithmetic writes
/// them, but for the form of the exponent.
fn written(digits: &str, exponent: i32) -> String {
    let len = i32::try_from(digits.len()).expect("at most 34 digits");
    let scientific = exponent + len - 1;
    if exponent > 0 || scientific < -6 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{first}{point}{rest}e{scientific}");
    }
    let point = len + exponent;
    match usize::try_from(point) {
        Ok(point) if point == digits.len() => digits.to_owned(),
        Ok(point) if point > 0 => {
            let (whole, part) = digits.split_at(point);
            format!("{whole}.{part}")
        }
        _ => {
            let zeros = usize::try_from(-point).expect("at most six");
            format!("0.{}{digits}", "0".repeat(zeros))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_they_were_computed() {
        let check = |digits, exponent, expected: &str| {
            assert_eq!(written(digits, exponent), expected);
        };
        check("123", 0, "123");
        check("123", -1, "12.3");
        check("123", -3, "0.123");
        check("123", -8, "0.00000123");
        check("123", -9, "1.23e-7");
        check("123", 1, "1.23e3");
        check("0", 0, "0");
        check("0", -2, "0.00");
        check("1", 300, "1e300");
    }

    #[test]
    fn what_is_no_number_and_what_is_too_large() {
        assert_eq!(Decimal::D64.text(0x78 << 56), "inf");
        assert_eq!(Decimal::D64.text(0xf8 << 56), "-inf");
        assert_eq!(Decimal::D64.text(0x7c << 56), "nan");
        // 10^16 - 1 needs the second form, and 10^16 is more than there may be.
        let second = |coefficient: u128| 0b11 << 61 | 398 << 51 | (coefficient & ((1 << 51) - 1));
        assert_eq!(
            Decimal::D64.text(second(9_999_999_999_999_999)),
            "9999999999999999"
        );
        assert_eq!(Decimal::D64.text(second(10_000_000_000_000_000)), "0");
        for word in 0..=u128::from(u16::MAX) {
            for decimal in [Decimal::D32, Decimal::D64, Decimal::D128] {
                assert!(!decimal.text(word << (decimal.bits - 16)).is_empty());
            }
        }
    }
}
