use gimli::AttributeValue;

use super::evaluate::Result;
use super::shape::size;
use crate::image::Bytes;
use crate::info::{Die, DieRef, Info};

/// A member or a base of a structure.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    /// `None` of an anonymous member, whose members are the structure's own.
    pub(super) name: Option<String>,
    pub(super) of: Option<DieRef>,
    pub(super) at: FieldAt<'a>,
    pub(super) is_base: bool,
}

/// Where a member is in its structure.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldAt<'a> {
    Bytes(u64),
    /// Both in bits.
    Bits {
        offset: u64,
        size: u64,
    },
    /// An expression over the structure's address: a virtual base.
    Computed(gimli::Expression<Bytes<'a>>),
    Unknown,
}

/// Members and bases in the order of the debug info; those of the class and not of its objects are
/// left out.
pub(super) fn fields<'a>(info: &Info<'a>, structure: DieRef) -> Result<Vec<Field<'a>>> {
    let mut fields = Vec::new();
    for die in info.children(structure)? {
        let is_base = die.tag() == gimli::DW_TAG_inheritance;
        let is_member = die.tag() == gimli::DW_TAG_member;
        let is_static = die.flag(gimli::DW_AT_external) || die.flag(gimli::DW_AT_declaration);
        if !is_base && !is_member || is_static {
            continue;
        }
        fields.push(field(info, &die, is_base)?);
    }
    Ok(fields)
}

pub(super) fn field<'a>(info: &Info<'a>, die: &Die<'a>, is_base: bool) -> Result<Field<'a>> {
    let of = info.follow(die, gimli::DW_AT_type);
    let name = match is_base {
        true => Some(info.type_name(of)),
        false => info
            .own_name(die)
            .map(|name| match name.strip_prefix("__") {
                // rustc calls the fields of tuples `__0` and so on.
                Some(digits) if is_number(digits) => digits.to_owned(),
                _ => name,
            }),
    };
    Ok(Field {
        name,
        of,
        at: place(info, die, of)?,
        is_base,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn place<'a>(info: &Info<'a>, die: &Die<'a>, of: Option<DieRef>) -> Result<FieldAt<'a>> {
    let location = die.attr(gimli::DW_AT_data_member_location);
    let begin = match location {
        None => Some(0),
        Some(AttributeValue::Exprloc(expression)) => {
            let encoding = info.unit(die.at.unit)?.encoding();
            let mut operations = expression.operations(encoding);
            match (operations.next()?, operations.next()?) {
                (Some(gimli::Operation::PlusConstant { value }), None) => Some(value),
                _ => {
                    return Ok(FieldAt::Computed(expression));
                }
            }
        }
        Some(_) => die.udata(gimli::DW_AT_data_member_location),
    };
    let Some(begin) = begin else {
        return Ok(FieldAt::Unknown);
    };
    let Some(bits) = die.udata(gimli::DW_AT_bit_size) else {
        return Ok(FieldAt::Bytes(begin));
    };
    if let Some(offset) = die.udata(gimli::DW_AT_data_bit_offset) {
        let offset = begin.saturating_mul(8).saturating_add(offset);
        return Ok(FieldAt::Bits { offset, size: bits });
    }
    // Before DWARF 4 they were counted from the high end of a storage unit (DWARF 3, 5.5.6). What
    // a packed structure has across the end of one begins before it.
    let Some(from_high) = sdata(die, gimli::DW_AT_bit_offset) else {
        let offset = begin.saturating_mul(8);
        return Ok(FieldAt::Bits { offset, size: bits });
    };
    let storage = match die.udata(gimli::DW_AT_byte_size) {
        Some(bytes) => Some(bytes),
        None => size(info, of)?,
    };
    let offset = storage
        .and_then(|bytes| bytes.checked_mul(8)?.checked_sub_signed(from_high))
        .and_then(|offset| offset.checked_sub(bits))
        .and_then(|offset| begin.checked_mul(8)?.checked_add(offset));
    Ok(match offset {
        Some(offset) => FieldAt::Bits { offset, size: bits },
        None => FieldAt::Unknown,
    })
}

fn sdata(die: &Die<'_>, name: gimli::DwAt) -> Option<i64> {
    match die.attr(name)? {
        AttributeValue::Sdata(value) => Some(value),
        _ => i64::try_from(die.udata(name)?).ok(),
    }
}
