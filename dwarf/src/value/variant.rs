use gimli::{AttributeValue, Reader};

use super::evaluate::Result;
use super::fields::{Field, FieldAt, field};
use super::object::Object;
use super::scalar;
use super::shape::{Shape, shape, size};
use super::tree::Absent;
use crate::info::{Die, DieRef, Info};
use crate::target::Target;

/// The variant of an enumeration with fields that an object is: `DW_TAG_variant_part`.
pub(super) fn active<'a>(
    info: &Info<'a>,
    target: &Target<'a>,
    part: &Die<'a>,
    object: &Object,
) -> Result<Field<'a>> {
    let variants: Vec<Die<'a>> = info
        .children(part.at)?
        .into_iter()
        .filter(|die| die.tag() == gimli::DW_TAG_variant)
        .collect();
    let chosen = match info.follow(part, gimli::DW_AT_discr) {
        Some(at) => {
            let told = discriminant(info, target, at, object)?;
            let is_it = |die: &&Die<'a>| has_value(die, &told);
            let exact = variants.iter().find(is_it);
            exact.or_else(|| {
                // The one without a value holds for all others: a niche.
                variants.iter().find(|die| {
                    die.attr(gimli::DW_AT_discr_value).is_none()
                        && die.attr(gimli::DW_AT_discr_list).is_none()
                })
            })
        }
        // Where only one can be, nothing says which it is.
        None => {
            let mut possible = Vec::new();
            for variant in &variants {
                if !is_impossible(info, variant.at, 0)? {
                    possible.push(variant);
                }
            }
            possible.first().copied().filter(|_| possible.len() == 1)
        }
    };
    let chosen =
        chosen.ok_or_else(|| Absent::unsupported("its discriminant is that of no variant"))?;
    let members = info.children(chosen.at)?;
    let member = members.iter().find(|die| die.tag() == gimli::DW_TAG_member);
    let member = member.ok_or_else(|| Absent::unsupported("a variant without a type"))?;
    field(info, member, false)
}

/// Whether there can be no value: something in it is of a type without values, as `!` and
/// `Infallible` are.
fn is_impossible(info: &Info<'_>, within: DieRef, depth: usize) -> Result<bool> {
    /// How deep structures nest.
    const MAX_NESTING: usize = 8;
    if depth == MAX_NESTING {
        return Ok(false);
    }
    for die in info.children(within)? {
        match die.tag() {
            // An enumeration without variants.
            gimli::DW_TAG_variant_part if info.children(die.at)?.is_empty() => return Ok(true),
            gimli::DW_TAG_member => {}
            _ => continue,
        }
        let Some(of) = info.follow(&die, gimli::DW_AT_type) else {
            continue;
        };
        let is_never = info.own_name(&info.die(of)?).as_deref() == Some("!");
        let is_impossible = match shape(info, Some(of))? {
            Shape::Struct { die, .. } => is_impossible(info, die, depth + 1)?,
            _ => false,
        };
        if is_never || is_impossible {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What an object says which variant it is.
struct Discriminant {
    value: u128,
    bits: u64,
    signed: bool,
}

fn discriminant<'a>(
    info: &Info<'a>,
    target: &Target<'a>,
    at: DieRef,
    object: &Object,
) -> Result<Discriminant> {
    let member = field(info, &info.die(at)?, false)?;
    let (offset, bits) = match member.at {
        FieldAt::Bytes(offset) => {
            let bytes = size(info, member.of)?.unwrap_or(0);
            (offset.saturating_mul(8), bytes.saturating_mul(8))
        }
        FieldAt::Bits { offset, size } => (offset, size),
        _ => return Err(Absent::unsupported("a discriminant at a computed place")),
    };
    let signed = matches!(
        shape(info, member.of)?,
        Shape::Base {
            encoding: gimli::DW_ATE_signed | gimli::DW_ATE_signed_char,
            ..
        }
    );
    Ok(Discriminant {
        value: object.bits(target, offset, bits)?,
        bits,
        signed,
    })
}

fn has_value(variant: &Die<'_>, discriminant: &Discriminant) -> bool {
    if let Some(AttributeValue::Block(list)) = variant.attr(gimli::DW_AT_discr_list) {
        return is_listed(list.slice(), discriminant).unwrap_or(false);
    }
    let value = match variant.attr(gimli::DW_AT_discr_value) {
        Some(AttributeValue::Data1(value)) => u128::from(value),
        Some(AttributeValue::Data2(value)) => u128::from(value),
        Some(AttributeValue::Data4(value)) => u128::from(value),
        Some(AttributeValue::Data8(value) | AttributeValue::Udata(value)) => u128::from(value),
        Some(AttributeValue::Sdata(value)) => i128::from(value).cast_unsigned(),
        Some(AttributeValue::Data16(value)) => value,
        Some(AttributeValue::Block(bytes)) => {
            let mut word = [0; 16];
            let Some(room) = word.get_mut(..bytes.slice().len()) else {
                return false;
            };
            room.copy_from_slice(bytes.slice());
            u128::from_le_bytes(word)
        }
        _ => return false,
    };
    let mask = match discriminant.bits {
        128.. => u128::MAX,
        bits => (1 << bits) - 1,
    };
    value & mask == discriminant.value & mask
}

/// Whether a list of values and ranges has a discriminant (DWARF 5, 5.7.10); `None` where the list
/// is damaged. Its numbers are signed where the discriminant is.
fn is_listed(list: &[u8], discriminant: &Discriminant) -> Option<bool> {
    let mut rest = gimli::EndianSlice::new(list, gimli::LittleEndian);
    let wanted = match discriminant.signed {
        true => scalar::signed(discriminant.value, discriminant.bits),
        false => i128::try_from(discriminant.value).ok()?,
    };
    while !rest.is_empty() {
        let kind = gimli::DwDsc(rest.read_u8().ok()?);
        let mut number = || -> Option<i128> {
            Some(match discriminant.signed {
                true => i128::from(rest.read_sleb128().ok()?),
                false => i128::from(rest.read_uleb128().ok()?),
            })
        };
        let low = number()?;
        let high = match kind {
            gimli::DW_DSC_label => low,
            gimli::DW_DSC_range => number()?,
            _ => return None,
        };
        if (low..=high).contains(&wanted) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_discriminants() {
        let check = |list: &[u8], value: u128, signed, expected| {
            let bits = 8;
            let discriminant = Discriminant {
                value,
                bits,
                signed,
            };
            assert_eq!(is_listed(list, &discriminant), expected, "{list:?} {value}");
        };
        // 100; 3 to 5; as signed numbers 100 needs two bytes.
        let unsigned = [0, 100, 1, 3, 5];
        check(&unsigned, 100, false, Some(true));
        check(&unsigned, 4, false, Some(true));
        check(&unsigned, 6, false, Some(false));
        check(&[0, 0x7f], 0xff, true, Some(true));
        check(&[1, 0x7e, 1], 0, true, Some(true));
        check(&[1, 0x7e, 1], 2, true, Some(false));
        check(&[], 0, false, Some(false));
        check(&[9, 1], 1, false, None);
        check(&[1, 1], 1, false, None);
        check(&[0, 0x80], 0, false, None);
    }
}
