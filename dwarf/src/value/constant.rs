use gimli::AttributeValue;

use super::evaluate::Result;
use super::object::{Gathered, Object};
use super::tree::Absent;
use crate::image::Bytes;
use crate::info::{Die, Info};

/// The value of a variable that is a constant: `DW_AT_const_value`.
pub(super) fn object<'a>(
    info: &Info<'a>,
    die: &Die<'a>,
    value: AttributeValue<Bytes<'a>>,
) -> Result<Object> {
    let bytes = match value {
        // A form has as many bytes as its writer needed, the value as many as its type has; a
        // narrow form is not signed, and neither are the values that compilers write in one.
        AttributeValue::Data1(value) => wide(u64::from(value)),
        AttributeValue::Data2(value) => wide(u64::from(value)),
        AttributeValue::Data4(value) => wide(u64::from(value)),
        AttributeValue::Data8(value) | AttributeValue::Udata(value) => wide(value),
        AttributeValue::Sdata(value) => i128::from(value).to_le_bytes().to_vec(),
        AttributeValue::Data16(value) => value.to_le_bytes().to_vec(),
        AttributeValue::Block(bytes) => bytes.slice().to_vec(),
        value => match info.text(die.at.unit, value) {
            Some(text) => text.into_bytes(),
            None => {
                return Err(Absent::unsupported(
                    "a constant of a kind that is not read yet",
                ));
            }
        },
    };
    Ok(Object::gathered(Gathered::of_bytes(&bytes)))
}

fn wide(value: u64) -> Vec<u8> {
    u128::from(value).to_le_bytes().to_vec()
}
