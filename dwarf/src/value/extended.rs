//! Floating-point numbers that Rust has no type for, as text: the ten bytes of the x87 (Intel
//! SDM 1, 4.2.2), and other formats of IEEE 754.

use std::cmp::Ordering;

use super::scalar::not_finite;

/// The weight of the lowest bit of the significand at exponent zero.
const BIAS: i32 = 16_383 + 63;

/// A binary interchange format (IEEE 754, 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Format {
    /// Those that are kept: the leading one is not.
    significand: u32,
    exponent: u32,
}

impl Format {
    pub(super) const HALF: Format = Format {
        significand: 10,
        exponent: 5,
    };
    /// The upper half of a `float`.
    pub(super) const BRAIN: Format = Format {
        significand: 7,
        exponent: 8,
    };
    pub(super) const QUAD: Format = Format {
        significand: 112,
        exponent: 15,
    };

    /// The shortest decimal that is this number and no other.
    pub(super) fn text(self, word: u128) -> String {
        let significand = word & ((1 << self.significand) - 1);
        let high = u32::try_from(word >> self.significand & 0xffff).expect("16 bits");
        let most = (1 << self.exponent) - 1;
        let exponent = high & most;
        let is_negative = high >> self.exponent & 1 == 1;
        if exponent == most {
            return not_finite(significand != 0, is_negative);
        }
        let sign = if is_negative { "-" } else { "" };
        let (significand, is_border) = match exponent {
            0 => (significand, false),
            // Below a power of two the neighbours are nearer, but for the smallest.
            _ => (
                significand | 1 << self.significand,
                significand == 0 && exponent > 1,
            ),
        };
        if significand == 0 {
            return format!("{sign}0");
        }
        let weight = (most >> 1) + self.significand;
        let exponent = exponent.max(1).cast_signed() - weight.cast_signed();
        let (digits, point) = shortest(significand, exponent, is_border);
        format!("{sign}{}", written(&digits, point))
    }
}

/// The same of a number of the x87.
pub(super) fn text(word: u128) -> String {
    let significand = u64::try_from(word & u128::from(u64::MAX)).expect("64 bits");
    let high = u16::try_from(word >> 64 & 0xffff).expect("16 bits");
    let sign = if high & 0x8000 != 0 { "-" } else { "" };
    let exponent = i32::from(high & 0x7fff);
    if exponent == 0x7fff {
        return not_finite(significand << 1 != 0, high & 0x8000 != 0);
    }
    if significand == 0 {
        return format!("{sign}0");
    }
    let is_border = significand == 1 << 63 && exponent > 1;
    let (digits, point) = shortest(u128::from(significand), exponent.max(1) - BIAS, is_border);
    format!("{sign}{}", written(&digits, point))
}

/// Digits `d1 d2 d3…` and where the point is: the number is `0.d1d2d3… × 10^point`.
///
/// Steele and White's algorithm, with whole numbers as large as they need be: the number is
/// `value / scale`, and half the distance to its neighbours `low / scale` and `high / scale`.
fn shortest(significand: u128, exponent: i32, is_border: bool) -> (String, i32) {
    let is_even = significand.is_multiple_of(2);
    let up = u32::try_from(exponent.max(0)).expect("not negative");
    let down = u32::try_from((-exponent).max(0)).expect("not negative");
    let extra = u32::from(is_border);
    let mut value = Natural::from(significand).shifted(up + 1 + extra);
    let mut scale = Natural::from(1).shifted(down + 1 + extra);
    let mut high = Natural::from(1).shifted(up + extra);
    let mut low = Natural::from(1).shifted(up);
    let mut point = 0;
    let reaches = |sum: Ordering| match is_even {
        true => sum != Ordering::Less,
        false => sum == Ordering::Greater,
    };
    while reaches(value.plus(&high).compared(&scale)) {
        scale = scale.times(10);
        point += 1;
    }
    while !reaches(value.plus(&high).times(10).compared(&scale)) {
        value = value.times(10);
        high = high.times(10);
        low = low.times(10);
        point -= 1;
    }
    let mut digits = String::new();
    loop {
        value = value.times(10);
        high = high.times(10);
        low = low.times(10);
        let mut digit = 0u8;
        while value.compared(&scale) != Ordering::Less {
            value = value.minus(&scale);
            digit += 1;
        }
        let is_low = match (value.compared(&low), is_even) {
            (Ordering::Less, _) | (Ordering::Equal, true) => true,
            (Ordering::Equal, false) | (Ordering::Greater, _) => false,
        };
        let is_high = reaches(value.plus(&high).compared(&scale));
        let is_upper_half = value.times(2).compared(&scale) != Ordering::Less;
        let round_up = match (is_low, is_high) {
            (false, false) => {
                digits.push(char::from(b'0' + digit));
                continue;
            }
            (true, false) => false,
            (false, true) => true,
            (true, true) => is_upper_half,
        };
        digits.push(char::from(b'0' + digit + u8::from(round_up)));
        return (digits, point);
    }
}

fn written(digits: &str, point: i32) -> String {
    let len = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    match point {
        -4..=0 => format!("0.{}{digits}", zeros(-point)),
        1..=19 if point >= len => format!("{digits}{}", zeros(point - len)),
        1..=19 => {
            let (whole, rest) = digits.split_at(usize::try_from(point).expect("positive"));
            format!("{whole}.{rest}")
        }
        point => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{first}{dot}{rest}e{}", point - 1)
        }
    }
}

/// A whole number, its low part first.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Natural(Vec<u32>);

impl From<u128> for Natural {
    fn from(value: u128) -> Natural {
        let limb = |shift: u32| u32::try_from(value >> shift & 0xffff_ffff).expect("32 bits");
        Natural([0, 32, 64, 96].map(limb).to_vec()).trimmed()
    }
}

impl Natural {
    fn trimmed(mut self) -> Natural {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn shifted(&self, bits: u32) -> Natural {
        let words = usize::try_from(bits / 32).expect("below 2^27");
        let mut shifted = vec![0; words];
        let mut carry = 0u64;
        for &limb in &self.0 {
            let wide = u64::from(limb) << (bits % 32) | carry;
            shifted.push(u32::try_from(wide & 0xffff_ffff).expect("32 bits"));
            carry = wide >> 32;
        }
        shifted.push(u32::try_from(carry).expect("32 bits"));
        Natural(shifted).trimmed()
    }

    fn times(&self, factor: u32) -> Natural {
        let mut product = Vec::with_capacity(self.0.len() + 1);
        let mut carry = 0u64;
        for &limb in &self.0 {
            let wide = u64::from(limb) * u64::from(factor) + carry;
            product.push(u32::try_from(wide & 0xffff_ffff).expect("32 bits"));
            carry = wide >> 32;
        }
        product.push(u32::try_from(carry).expect("32 bits"));
        Natural(product).trimmed()
    }

    fn plus(&self, other: &Natural) -> Natural {
        let mut sum = Vec::new();
        let mut carry = 0u64;
        for at in 0..self.0.len().max(other.0.len()) {
            let limb = |number: &Natural| u64::from(number.0.get(at).copied().unwrap_or(0));
            let wide = limb(self) + limb(other) + carry;
            sum.push(u32::try_from(wide & 0xffff_ffff).expect("32 bits"));
            carry = wide >> 32;
        }
        sum.push(u32::try_from(carry).expect("32 bits"));
        Natural(sum).trimmed()
    }

    /// The difference to a smaller number.
    fn minus(&self, other: &Natural) -> Natural {
        let mut difference = Vec::with_capacity(self.0.len());
        let mut borrow = 0i64;
        for (at, &limb) in self.0.iter().enumerate() {
            let other = i64::from(other.0.get(at).copied().unwrap_or(0));
            let wide = i64::from(limb) - other - borrow;
            borrow = i64::from(wide < 0);
            let limb = wide + (borrow << 32);
            difference.push(u32::try_from(limb).expect("32 bits"));
        }
        Natural(difference).trimmed()
    }

    fn compared(&self, other: &Natural) -> Ordering {
        let by_len = self.0.len().cmp(&other.0.len());
        by_len.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exponent: u16, significand: u64, expected: &str) {
        let word = u128::from(exponent) << 64 | u128::from(significand);
        assert_eq!(text(word), expected);
    }

    #[test]
    fn ordinary_numbers() {
        check(0, 0, "0");
        check(0x8000, 0, "-0");
        check(0x3fff, 1 << 63, "1");
        check(0xbfff, 3 << 62, "-1.5");
        check(0x4000, 0xc90f_daa2_2168_c235, "3.1415926535897932385");
        // 0.1L and its neighbour.
        check(0x3ffb, 0xcccc_cccc_cccc_cccd, "0.1");
        check(0x3ffb, 0xcccc_cccc_cccc_ccce, "0.10000000000000000001");
        check(0x401e, 0x8000_0000_0000_0000, "2147483648");
    }

    #[test]
    fn the_ends_of_the_range() {
        check(0x7ffe, u64::MAX, "1.189731495357231765e4932");
        check(0x0001, 1 << 63, "3.3621031431120935063e-4932");
        check(0x0000, 1, "4e-4951");
        check(0x7fff, 1 << 63, "inf");
        check(0xffff, 1 << 63, "-inf");
        check(0x7fff, 3 << 62, "nan");
    }

    #[test]
    fn other_formats() {
        let check = |format: Format, word: u128, expected: &str| {
            assert_eq!(format.text(word), expected);
        };
        check(Format::HALF, 0x0000, "0");
        check(Format::HALF, 0x8000, "-0");
        check(Format::HALF, 0x2e66, "0.1");
        check(Format::HALF, 0xc100, "-2.5");
        check(Format::HALF, 0x7bff, "65500");
        check(Format::HALF, 0x0001, "6e-8");
        check(Format::HALF, 0x7c00, "inf");
        check(Format::HALF, 0xfe00, "-nan");
        check(Format::BRAIN, 0x3dcd, "0.1");
        check(Format::BRAIN, 0xff80, "-inf");
        check(Format::QUAD, 0x3fff << 112, "1");
        check(
            Format::QUAD,
            0x3ffb_9999_9999_9999_9999_9999_9999_999a,
            "0.1",
        );
        check(Format::QUAD, 1, "6e-4966");
        check(
            Format::QUAD,
            0x7ffe_ffff_ffff_ffff_ffff_ffff_ffff_ffff,
            "1.189731495357231765085759326628007e4932",
        );
    }

    /// What the standard library has a type for tells whether the method is right.
    #[test]
    fn single_and_double_are_those_of_the_standard_library() {
        let single = Format {
            significand: 23,
            exponent: 8,
        };
        let double = Format {
            significand: 52,
            exponent: 11,
        };
        let mut random = 1u64;
        for _ in 0..2_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let bits = random ^ random >> 29;
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let text = double.text(u128::from(bits));
                assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(bits), "{text}");
                assert!(text.len() <= format!("{value:e}").len().max(25), "{text}");
            }
            let bits = u32::try_from(bits >> 32).unwrap();
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let text = single.text(u128::from(bits));
                assert_eq!(text.parse::<f32>().map(f32::to_bits), Ok(bits), "{text}");
                assert!(text.len() <= format!("{value:e}").len().max(25), "{text}");
            }
        }
    }
}
