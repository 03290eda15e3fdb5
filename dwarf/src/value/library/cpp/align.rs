use super::super::Look;
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::fields::FieldAt;
use crate::value::shape::Shape;

/// How deep types are looked into.
const MAX_NESTING: usize = 16;
/// The longest chain of typedefs and qualifiers.
const MAX_CHAIN: usize = 64;

/// What the addresses of objects of a type are multiples of (System V psABI x86-64, 3.1.2). Debug
/// info tells it only where the program does.
pub(in crate::value) fn alignment(look: &Look<'_, '_>, of: Option<DieRef>) -> Result<u64> {
    look.alignment(of, || within(look, of, 0))
}

fn within(look: &Look<'_, '_>, of: Option<DieRef>, depth: usize) -> Result<u64> {
    if depth == MAX_NESTING {
        return Ok(1);
    }
    let told = told(look, of)?;
    let natural = match look.shape(of)? {
        Shape::Base {
            encoding: gimli::DW_ATE_complex_float,
            bytes,
            ..
        } => bytes / 2,
        Shape::Base { bytes, .. } | Shape::Enum { bytes, .. } => bytes,
        Shape::Pointer(_) | Shape::MemberPointer { .. } => 8,
        Shape::Array { element, .. } => match is_vector(look, of)? {
            true => look.size(of)?.unwrap_or(1),
            false => within(look, element, depth + 1)?,
        },
        Shape::Struct { die, bytes } | Shape::Union { die, bytes } => {
            let mut most = 1;
            let mut offsets = bytes.unwrap_or(0);
            for field in look.fields_of(die)?.iter() {
                most = most.max(within(look, field.of, depth + 1)?);
                if let FieldAt::Bytes(offset) = field.at {
                    offsets |= offset;
                }
            }
            // A packed structure is where its members could not be otherwise.
            match offsets {
                0 => most,
                offsets => most.min(1 << offsets.trailing_zeros()),
            }
        }
        _ => 1,
    };
    let natural = if natural.is_power_of_two() {
        natural
    } else {
        1
    };
    Ok(natural.max(told))
}

/// The alignment that a type, or a typedef on the way to it, was given.
fn told(look: &Look<'_, '_>, of: Option<DieRef>) -> Result<u64> {
    let mut most = 1;
    let mut at = of;
    for _ in 0..MAX_CHAIN {
        let Some(next) = at else {
            break;
        };
        let die = look.info.die(look.info.complete(&look.info.die(next)?)?)?;
        if let Some(told) = die.udata(gimli::DW_AT_alignment)
            && told.is_power_of_two()
        {
            most = most.max(told);
        }
        at = match die.tag() {
            gimli::DW_TAG_typedef | gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type => {
                look.info.follow(&die, gimli::DW_AT_type)
            }
            _ => None,
        };
    }
    Ok(most)
}

fn is_vector(look: &Look<'_, '_>, of: Option<DieRef>) -> Result<bool> {
    let mut at = of;
    for _ in 0..MAX_CHAIN {
        let Some(next) = at else {
            break;
        };
        let die = look.info.die(next)?;
        if die.tag() == gimli::DW_TAG_array_type {
            return Ok(die.flag(gimli::DW_AT_GNU_vector));
        }
        at = look.info.follow(&die, gimli::DW_AT_type);
    }
    Ok(false)
}
