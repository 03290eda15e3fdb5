use gimli::AttributeValue;

use super::{MemberLookup, Type};
use crate::info::{Die, DieRef, Info, Result};

/// The most variants of one enumeration that are looked at.
const MAX_VARIANTS: usize = 4096;

/// An enumeration whose variants have fields (`DW_TAG_variant_part`, DWARF 5, 5.7.10).
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Variants {
    /// `None` where there is only one variant.
    pub(crate) discriminant: Option<Discriminant>,
    pub(crate) cases: Vec<Variant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Discriminant {
    /// Bytes from the beginning of the structure.
    pub(crate) offset: u64,
    pub(crate) bytes: u8,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Variant {
    pub(crate) name: String,
    /// The discriminant's value; `None` of the one that is meant by all others.
    pub(crate) value: Option<u64>,
    /// The structure of its fields, and where it begins.
    pub(crate) of: Type,
    pub(crate) offset: u64,
}

impl<'a> Info<'a> {
    /// The variants of a structure, if it is such an enumeration; `Err` of the second kind says
    /// why they cannot be told apart.
    pub(crate) fn variants(
        &self,
        structure: DieRef,
    ) -> Result<Option<std::result::Result<Variants, &'static str>>> {
        let children = self.children(structure)?;
        let part = children
            .iter()
            .find(|die| die.tag() == gimli::DW_TAG_variant_part);
        match part {
            Some(part) => Ok(Some(self.variants_of(part)?)),
            None => Ok(None),
        }
    }

    fn variants_of(&self, part: &Die<'a>) -> Result<std::result::Result<Variants, &'static str>> {
        let discriminant = match self.follow(part, gimli::DW_AT_discr) {
            None => None,
            Some(at) => {
                let member = match self.read_member(&self.die(at)?)? {
                    MemberLookup::Found(member) if member.bits.is_none() => member,
                    _ => return Ok(Err("its discriminant is at a computed place")),
                };
                match self.size(&member.of)?.map(u8::try_from) {
                    Some(Ok(bytes @ (1 | 2 | 4 | 8))) => Some(Discriminant {
                        offset: member.offset,
                        bytes,
                    }),
                    _ => return Ok(Err("its discriminant is of an unusual size")),
                }
            }
        };
        let mut cases = Vec::new();
        for die in self.children(part.at)?.iter().take(MAX_VARIANTS) {
            if die.tag() != gimli::DW_TAG_variant {
                continue;
            }
            let members = self.children(die.at)?;
            let member = members.iter().find(|die| die.tag() == gimli::DW_TAG_member);
            let Some(member) = member else {
                continue;
            };
            let name = self.own_name(member).unwrap_or_default();
            let MemberLookup::Found(found) = self.read_member(member)? else {
                return Ok(Err("a variant of it is at a computed place"));
            };
            let value = match die.attr(gimli::DW_AT_discr_value) {
                None if die.attr(gimli::DW_AT_discr_list).is_some() => {
                    return Ok(Err("a variant of it has several discriminants"));
                }
                None => None,
                Some(value) => match word(value) {
                    Some(value) => Some(value),
                    None => return Ok(Err("its discriminant is of an unusual size")),
                },
            };
            cases.push(Variant {
                name,
                value,
                of: found.of,
                offset: found.offset,
            });
        }
        if discriminant.is_none() && cases.len() != 1 {
            return Ok(Err("nothing tells its variants apart"));
        }
        Ok(Ok(Variants {
            discriminant,
            cases,
        }))
    }
}

/// A discriminant, of which the low bytes count.
fn word(value: AttributeValue<crate::image::Bytes<'_>>) -> Option<u64> {
    Some(match value {
        AttributeValue::Data1(value) => u64::from(value),
        AttributeValue::Data2(value) => u64::from(value),
        AttributeValue::Data4(value) => u64::from(value),
        AttributeValue::Data8(value) | AttributeValue::Udata(value) => value,
        AttributeValue::Sdata(value) => value.cast_unsigned(),
        AttributeValue::Data16(value) => u64::try_from(value).ok()?,
        _ => return None,
    })
}
