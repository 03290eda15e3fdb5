use gimli::AttributeValue;

use super::evaluate::Result;
use super::fields::{Field, FieldAt, field};
use super::object::Object;
use super::shape::size;
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
            let (discriminant, bits) = discriminant(info, target, at, object)?;
            let is_it = |die: &&Die<'a>| has_value(die, discriminant, bits);
            let exact = variants.iter().find(is_it);
            exact.or_else(|| {
                // The one without a value holds for all others: a niche.
                variants
                    .iter()
                    .find(|die| die.attr(gimli::DW_AT_discr_value).is_none())
            })
        }
        None => variants.first().filter(|_| variants.len() == 1),
    };
    let chosen =
        chosen.ok_or_else(|| Absent::unsupported("its discriminant is that of no variant"))?;
    let members = info.children(chosen.at)?;
    let member = members.iter().find(|die| die.tag() == gimli::DW_TAG_member);
    let member = member.ok_or_else(|| Absent::unsupported("a variant without a type"))?;
    field(info, member, false)
}

/// The discriminant, and its size in bits.
fn discriminant<'a>(
    info: &Info<'a>,
    target: &Target<'a>,
    at: DieRef,
    object: &Object,
) -> Result<(u128, u64)> {
    let member = field(info, &info.die(at)?, false)?;
    let (offset, bits) = match member.at {
        FieldAt::Bytes(offset) => {
            let bytes = size(info, member.of)?.unwrap_or(0);
            (offset.saturating_mul(8), bytes.saturating_mul(8))
        }
        FieldAt::Bits { offset, size } => (offset, size),
        _ => return Err(Absent::unsupported("a discriminant at a computed place")),
    };
    Ok((object.bits(target, offset, bits)?, bits))
}

fn has_value(variant: &Die<'_>, discriminant: u128, bits: u64) -> bool {
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
    let mask = match bits {
        128.. => u128::MAX,
        bits => (1 << bits) - 1,
    };
    value & mask == discriminant & mask
}
