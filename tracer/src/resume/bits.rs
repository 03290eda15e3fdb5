//! Shifts, rotates, counts and products: results and flags (Intel SDM volume 2).

use super::emulated::{low_mask, sign_extend};
use super::flags::{self, ALL, CF, OF, ZF};

/// `shl`, `shr`, `sar`, `rol`, `ror`, and the forms of BMI2 that leave the flags alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shift {
    Left,
    Right,
    Arithmetic,
    RotateLeft,
    RotateRight,
}

impl Shift {
    pub(crate) fn from_mnemonic(mnemonic: &str) -> Option<Shift> {
        Some(match mnemonic {
            "shl" | "sal" => Shift::Left,
            "shr" => Shift::Right,
            "sar" => Shift::Arithmetic,
            "rol" => Shift::RotateLeft,
            "ror" => Shift::RotateRight,
            _ => return None,
        })
    }

    /// `shlx`, `shrx`, `sarx`, `rorx`.
    pub(crate) fn from_flagless(mnemonic: &str) -> Option<Shift> {
        Shift::from_mnemonic(mnemonic.strip_suffix('x')?)
    }

    /// The count that the processor takes: its low five bits, six for 64-bit operands.
    pub(super) fn count(count: u64, bits: u32) -> u32 {
        let mask = if bits == 64 { 63 } else { 31 };
        u32::try_from(count & mask).expect("at most 63")
    }

    /// `value` has `bits`.
    pub(super) fn result(self, value: u64, count: u64, bits: u32) -> u64 {
        let count = Shift::count(count, bits);
        let wide = u128::from(value);
        let turn = |by: u32| {
            let twice = wide << bits | wide;
            u64::try_from(twice >> by & u128::from(low_mask(bits))).expect("masked")
        };
        match self {
            Shift::Left => {
                u64::try_from(wide << count & u128::from(low_mask(bits))).expect("masked")
            }
            Shift::Right => value >> count,
            Shift::Arithmetic => shift_signed(value, count, bits) & low_mask(bits),
            Shift::RotateLeft => turn((bits - count % bits) % bits),
            Shift::RotateRight => turn(count % bits),
        }
    }

    /// Result and flags. A count of zero changes no flag; OF is defined for a count of one alone,
    /// and is computed alike for all.
    pub(super) fn compute(self, old: u64, value: u64, count: u64, bits: u32) -> (u64, u64) {
        let result = self.result(value, count, bits);
        let count = Shift::count(count, bits);
        if count == 0 {
            return (result, old);
        }
        let top = |value: u64| value >> (bits - 1) & 1 != 0;
        let (carry, overflow) = match self {
            Shift::Left => {
                let carry = u128::from(value) << count >> bits & 1 != 0;
                (carry, top(result) != carry)
            }
            Shift::Right => (value >> (count - 1) & 1 != 0, top(value)),
            Shift::Arithmetic => (shift_signed(value, count - 1, bits) & 1 != 0, false),
            Shift::RotateLeft => {
                let carry = result & 1 != 0;
                (carry, top(result) != carry)
            }
            Shift::RotateRight => (top(result), top(result) != top(result << 1)),
        };
        let of_both = flags::flag(carry, CF) | flags::flag(overflow, OF);
        let new = match self {
            Shift::RotateLeft | Shift::RotateRight => old & !(CF | OF) | of_both,
            _ => old & !ALL | flags::of_result(result, bits) | of_both,
        };
        (result, new)
    }
}

/// `value`, which has `bits`, shifted with its sign.
fn shift_signed(value: u64, count: u32, bits: u32) -> u64 {
    (sign_extend(value, bits).cast_signed() >> count.min(63)).cast_unsigned()
}

/// `tzcnt`, `lzcnt`, `popcnt`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Count {
    TrailingZeros,
    LeadingZeros,
    Ones,
}

impl Count {
    /// `value` has `bits`.
    pub(super) fn compute(self, old: u64, value: u64, bits: u32) -> (u64, u64) {
        let none = value == 0;
        let result = match self {
            Count::TrailingZeros if none => bits,
            Count::TrailingZeros => value.trailing_zeros(),
            Count::LeadingZeros => value.leading_zeros() - (64 - bits),
            Count::Ones => value.count_ones(),
        };
        let new = match self {
            Count::Ones => flags::flag(none, ZF),
            _ => flags::flag(none, CF) | flags::flag(result == 0, ZF),
        };
        (u64::from(result), old & !ALL | new)
    }
}

/// What `bts`, `btr` and `btc` do with the bit that they test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BitChange {
    Set,
    Reset,
    Complement,
}

impl BitChange {
    pub(super) fn apply(self, value: u64, bit: u64) -> u64 {
        match self {
            BitChange::Set => value | bit,
            BitChange::Reset => value & !bit,
            BitChange::Complement => value ^ bit,
        }
    }
}

/// The low and the high half of a product of two values of `bits`, and the flags: CF and OF say
/// whether the low half is not all of it.
pub(super) fn multiply(
    old: u64,
    left: u64,
    right: u64,
    bits: u32,
    signed: bool,
) -> (u64, u64, u64) {
    let wide = |value: u64| match signed {
        true => i128::from(sign_extend(value, bits).cast_signed()).cast_unsigned(),
        false => u128::from(value),
    };
    let product = wide(left).wrapping_mul(wide(right));
    let half = |wide: u128| u64::try_from(wide & u128::from(low_mask(bits))).expect("masked");
    let (low, high) = (half(product), half(product >> bits));
    let is_all = match signed {
        true => product == wide(low),
        false => high == 0,
    };
    let new = flags::flag(!is_all, CF | OF);
    (low, high, old & !(CF | OF) | new)
}
