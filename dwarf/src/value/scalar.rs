//! Numbers as text.

use gimli::DwAte;

use super::decimal::Decimal;
use super::evaluate::Result;
use super::extended::{self, Format};
use super::text::character;
use super::tree::Absent;

/// How many bits of a value of a base type count.
pub(super) fn used_bits(name: &str, bits: u64, told: Option<u64>) -> Result<u64> {
    let is_bit_int = name.contains("_BitInt");
    // gcc 14 and clang 15 call it `_BitInt(37)`.
    let named = || {
        name.split_once("_BitInt(")?
            .1
            .strip_suffix(')')?
            .parse()
            .ok()
    };
    let used = told.or_else(|| named().filter(|_| is_bit_int));
    match used.filter(|&used| (1..=bits).contains(&used)) {
        Some(used) => Ok(used),
        // What the others of its room are, the compiler leaves open (System V psABI, 3.1.2).
        None if is_bit_int => Err(Absent::unsupported(format!(
            "a `{name}`: debug info does not tell how many of its bits count"
        ))),
        None => Ok(bits),
    }
}

/// A value of a base type that has the low `bits` of `word`.
pub(super) fn base(encoding: DwAte, name: &str, bits: u64, word: u128) -> Result<String> {
    Ok(match (encoding, bits) {
        (gimli::DW_ATE_boolean, _) => match word {
            0 => "false".to_owned(),
            1 => "true".to_owned(),
            // Neither, as memory that was never written has it.
            word => word.to_string(),
        },
        (gimli::DW_ATE_UTF, _) => code_point(word),
        (gimli::DW_ATE_signed_char | gimli::DW_ATE_unsigned_char, 8) if name == "char" => {
            byte(low(word))
        }
        (gimli::DW_ATE_signed | gimli::DW_ATE_signed_char, bits) => signed(word, bits).to_string(),
        (gimli::DW_ATE_unsigned | gimli::DW_ATE_unsigned_char | gimli::DW_ATE_address, _) => {
            word.to_string()
        }
        (gimli::DW_ATE_float, 32) => {
            let bits = u32::try_from(word).map_err(|_| odd(name))?;
            float32(f32::from_bits(bits))
        }
        (gimli::DW_ATE_float, 64) => {
            let bits = u64::try_from(word).map_err(|_| odd(name))?;
            float64(f64::from_bits(bits))
        }
        (gimli::DW_ATE_float, 16) => match name {
            "_Float16" | "f16" | "__fp16" | "half" => Format::HALF.text(word),
            "__bf16" | "std::bfloat16_t" => Format::BRAIN.text(word),
            _ => return Err(odd(name)),
        },
        (gimli::DW_ATE_float, 128) if ["_Float128", "__float128", "f128"].contains(&name) => {
            Format::QUAD.text(word)
        }
        // x87: ten bytes in a room of sixteen.
        (gimli::DW_ATE_float, 128) if name.contains("long double") => extended::text(word),
        (gimli::DW_ATE_float, 80 | 96) => extended::text(word),
        (gimli::DW_ATE_decimal_float, 32) => Decimal::D32.text(word),
        (gimli::DW_ATE_decimal_float, 64) => Decimal::D64.text(word),
        (gimli::DW_ATE_decimal_float, 128) => Decimal::D128.text(word),
        _ => return Err(odd(name)),
    })
}

fn odd(name: &str) -> Absent {
    Absent::unsupported(format!("the number type `{name}`"))
}

pub(super) fn signed(word: u128, bits: u64) -> i128 {
    let unused = 128 - u32::try_from(bits.clamp(1, 128)).expect("at most 128");
    (word << unused).cast_signed() >> unused
}

fn low(word: u128) -> u8 {
    u8::try_from(word & 0xff).expect("eight bits")
}

/// A byte that is a character where it is ASCII.
fn byte(byte: u8) -> String {
    match byte {
        ..0x80 => character(u32::from(byte)),
        byte => format!("\\x{byte:02x}"),
    }
}

/// What is no character is told by its number.
fn code_point(word: u128) -> String {
    character(u32::try_from(word).unwrap_or(u32::MAX))
}

/// The shortest decimal that is this number and no other.
pub(super) fn float64(value: f64) -> String {
    match value.abs() {
        0.0 => value.to_string(),
        1e-5..1e16 => value.to_string(),
        _ if value.is_finite() => format!("{value:e}"),
        _ => not_finite(value.is_nan(), value.is_sign_negative()),
    }
}

fn float32(value: f32) -> String {
    match value.abs() {
        0.0 => value.to_string(),
        1e-5..1e16 => value.to_string(),
        _ if value.is_finite() => format!("{value:e}"),
        _ => not_finite(value.is_nan(), value.is_sign_negative()),
    }
}

pub(super) fn not_finite(is_nan: bool, is_negative: bool) -> String {
    let sign = if is_negative { "-" } else { "" };
    format!("{sign}{}", if is_nan { "nan" } else { "inf" })
}

/// An enumerator's name; those of flags joined; what has no name as a number.
pub(super) fn enumeration(names: &[(u64, String)], bits: u64, signed_: bool, word: u128) -> String {
    let mask = if bits >= 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    };
    let value = u64::try_from(word & u128::from(u64::MAX)).expect("64 bits") & mask;
    if let Some((_, name)) = names.iter().find(|(known, _)| known & mask == value) {
        return name.clone();
    }
    let number = match signed_ {
        true => signed(word, bits).to_string(),
        false => value.to_string(),
    };
    let flags = || names.iter().map(|(known, _)| known & mask);
    // Flags have bits of their own.
    let mut all = 0;
    for flag in flags().filter(|&flag| flag != 0) {
        if all & flag != 0 {
            return number;
        }
        all |= flag;
    }
    if value == 0 || value & all == 0 {
        return number;
    }
    let mut parts: Vec<String> = names
        .iter()
        .filter(|(known, _)| known & mask != 0 && value & known & mask == known & mask)
        .map(|(_, name)| name.clone())
        .collect();
    let named: u64 = flags()
        .filter(|flag| value & flag == *flag)
        .fold(0, |a, b| a | b);
    if parts.is_empty() {
        return number;
    }
    if value & !named != 0 {
        parts.push(format!("{:#x}", value & !named));
    }
    parts.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let check = |encoding, bits, word, expected: &str| {
            assert_eq!(base(encoding, "t", bits, word).unwrap(), expected);
        };
        check(gimli::DW_ATE_signed, 3, 0b101, "-3");
        check(gimli::DW_ATE_signed, 128, u128::MAX, "-1");
        check(
            gimli::DW_ATE_unsigned,
            64,
            u128::from(u64::MAX),
            "18446744073709551615",
        );
        check(gimli::DW_ATE_boolean, 8, 7, "7");
        check(gimli::DW_ATE_float, 64, u128::from(0.1f64.to_bits()), "0.1");
        check(
            gimli::DW_ATE_float,
            64,
            u128::from(1e300f64.to_bits()),
            "1e300",
        );
        check(gimli::DW_ATE_float, 32, u128::from(0.1f32.to_bits()), "0.1");
        check(
            gimli::DW_ATE_float,
            32,
            u128::from(f32::NAN.to_bits()),
            "nan",
        );
        check(gimli::DW_ATE_UTF, 32, 0xe9, "é");
        check(gimli::DW_ATE_UTF, 32, 0xd800, "\\u{d800}");
        check(gimli::DW_ATE_UTF, 32, 0xffff_ffff, "\\u{ffffffff}");
        assert_eq!(
            base(gimli::DW_ATE_float, "_Float16", 16, 0x3c00).unwrap(),
            "1"
        );
        // Which format it is, nobody tells.
        assert!(base(gimli::DW_ATE_float, "t", 16, 0).is_err());
        assert!(base(gimli::DW_ATE_float, "t", 128, 0).is_err());
        assert_eq!(
            base(gimli::DW_ATE_signed_char, "char", 8, 0x61).unwrap(),
            "a"
        );
        assert_eq!(
            base(gimli::DW_ATE_signed_char, "char", 8, 0xff).unwrap(),
            "\\xff"
        );
        assert_eq!(
            base(gimli::DW_ATE_signed_char, "signed char", 8, 0xff).unwrap(),
            "-1"
        );
    }

    #[test]
    fn bits_that_count() {
        let check = |name, told, expected| {
            assert_eq!(used_bits(name, 64, told).ok(), expected, "{name}");
        };
        check("int", None, Some(64));
        check("int", Some(37), Some(37));
        check("_BitInt", Some(37), Some(37));
        check("unsigned _BitInt(37)", None, Some(37));
        check("_BitInt(37)", Some(37), Some(37));
        check("_BitInt", None, None);
        check("unsigned _BitInt", None, None);
        check("_BitInt(65)", None, None);
        check("_BitInt(0)", None, None);
        check("_BitInt(", None, None);
        assert_eq!(
            base(gimli::DW_ATE_signed, "_BitInt(5)", 5, 0b11011).unwrap(),
            "-5"
        );
    }

    #[test]
    fn enumerators_and_flags() {
        let names = |pairs: &[(u64, &str)]| -> Vec<(u64, String)> {
            let pairs = pairs.iter();
            pairs
                .map(|(value, name)| (*value, (*name).to_owned()))
                .collect()
        };
        let flags = names(&[(1, "A"), (2, "B"), (4, "C")]);
        let check = |word, expected: &str| {
            assert_eq!(enumeration(&flags, 32, false, word), expected);
        };
        check(2, "B");
        check(5, "A | C");
        check(0x13, "A | B | 0x10");
        check(0, "0");
        check(8, "8");
        let states = names(&[(1, "A"), (2, "B"), (3, "C")]);
        assert_eq!(enumeration(&states, 32, true, 0xffff_ffff), "-1");
        assert_eq!(enumeration(&states, 32, false, 6), "6");
        let negative = names(&[(u64::MAX, "NONE"), (0, "SOME")]);
        assert_eq!(enumeration(&negative, 32, true, 0xffff_ffff), "NONE");
    }
}
