use gimli::{AttributeValue, Operation};

use super::Type;
use crate::info::{Die, DieRef, Info, Result};

/// How deep bases and anonymous members nest.
const MAX_NESTING: usize = 16;
/// The most structures that one lookup goes through: where each holds several others, a depth
/// alone is no bound.
const MAX_STRUCTURES: usize = 1024;
/// The most members of one structure that are looked at.
const MAX_MEMBERS: usize = 16_384;

/// A member of a structure, found through its bases and anonymous members.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Member {
    /// Bytes from the beginning of the structure.
    pub(crate) offset: u64,
    pub(crate) of: Type,
    pub(crate) bits: Option<Bits>,
}

/// The bits of a bit-field, counted from the beginning of the structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bits {
    pub(crate) offset: u64,
    pub(crate) size: u8,
}

/// What looking for a member found.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum MemberLookup {
    Found(Member),
    /// It is there, but where it lies is not told in a way that is read here.
    Unsupported(&'static str),
    Missing,
}

impl<'a> Info<'a> {
    /// A member by name; Rust's tuple fields are called `__0` in debug info and `0` by people.
    pub(crate) fn member(&self, structure: DieRef, name: &str) -> Result<MemberLookup> {
        let tuple_field = format!("__{name}");
        let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        let name = if digits { &tuple_field } else { name };
        let mut left = MAX_STRUCTURES;
        self.member_within(structure, name, 0, &mut left)
    }

    fn member_within(
        &self,
        structure: DieRef,
        name: &str,
        depth: usize,
        left: &mut usize,
    ) -> Result<MemberLookup> {
        let members = self.children(structure)?;
        for die in members.iter().take(MAX_MEMBERS) {
            if die.tag() == gimli::DW_TAG_member && self.own_name(die).as_deref() == Some(name) {
                return self.read_member(die);
            }
        }
        // A name of the class itself hides its bases'.
        for die in members.iter().take(MAX_MEMBERS) {
            let inner = match die.tag() {
                gimli::DW_TAG_inheritance => self.follow(die, gimli::DW_AT_type),
                gimli::DW_TAG_member if self.own_name(die).is_none() => {
                    self.follow(die, gimli::DW_AT_type)
                }
                _ => None,
            };
            let Some(inner) = inner.filter(|_| depth < MAX_NESTING && *left > 0) else {
                continue;
            };
            *left -= 1;
            let super::Shape::Struct { die: inner, .. } = self.type_at(inner)?.shape else {
                continue;
            };
            match self.member_within(inner, name, depth + 1, left)? {
                MemberLookup::Missing => {}
                MemberLookup::Unsupported(why) => return Ok(MemberLookup::Unsupported(why)),
                MemberLookup::Found(_) if die.attr(gimli::DW_AT_virtuality).is_some() => {
                    return Ok(MemberLookup::Unsupported("a member of a virtual base"));
                }
                MemberLookup::Found(mut member) => {
                    let Some(base) = self.member_offset(die)? else {
                        return Ok(MemberLookup::Unsupported("a base at a computed offset"));
                    };
                    member.offset = member.offset.wrapping_add(base);
                    member.bits = member.bits.map(|bits| Bits {
                        offset: bits.offset.wrapping_add(base.wrapping_mul(8)),
                        ..bits
                    });
                    return Ok(MemberLookup::Found(member));
                }
            }
        }
        Ok(MemberLookup::Missing)
    }

    /// The names of a structure's members, those of anonymous members and bases included.
    pub(crate) fn member_names(&self, structure: DieRef) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut left = MAX_STRUCTURES;
        self.collect_names(structure, &mut names, 0, &mut left)?;
        Ok(names)
    }

    fn collect_names(
        &self,
        at: DieRef,
        names: &mut Vec<String>,
        depth: usize,
        left: &mut usize,
    ) -> Result<()> {
        for die in self.children(at)?.iter().take(MAX_MEMBERS) {
            let named = self.own_name(die);
            match (die.tag(), named) {
                (gimli::DW_TAG_member, Some(name)) => names.push(match name.strip_prefix("__") {
                    Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                        digits.to_owned()
                    }
                    _ => name,
                }),
                (gimli::DW_TAG_member | gimli::DW_TAG_inheritance, _)
                    if depth < MAX_NESTING && *left > 0 =>
                {
                    if let Some(inner) = self.follow(die, gimli::DW_AT_type)
                        && let super::Shape::Struct { die, .. } = self.type_at(inner)?.shape
                    {
                        *left -= 1;
                        self.collect_names(die, names, depth + 1, left)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn read_member(&self, die: &Die<'a>) -> Result<MemberLookup> {
        let of = match self.follow(die, gimli::DW_AT_type) {
            Some(of) => self.type_at(of)?,
            None => return Ok(MemberLookup::Unsupported("a member without a type")),
        };
        if die.flag(gimli::DW_AT_external) || die.flag(gimli::DW_AT_declaration) {
            return Ok(MemberLookup::Unsupported(
                "a static member; name it by its path",
            ));
        }
        if let Some(size) = die.udata(gimli::DW_AT_bit_size) {
            // The layout before DWARF 4 counts from the other end of a storage unit.
            let offset = die.udata(gimli::DW_AT_data_bit_offset);
            let size = u8::try_from(size)
                .ok()
                .filter(|size| (1..=64).contains(size));
            return Ok(match (offset, size) {
                (Some(offset), Some(size)) => MemberLookup::Found(Member {
                    offset: 0,
                    of,
                    bits: Some(Bits { offset, size }),
                }),
                _ => MemberLookup::Unsupported("a bit-field of an old debug format"),
            });
        }
        Ok(match self.member_offset(die)? {
            Some(offset) => MemberLookup::Found(Member {
                offset,
                of,
                bits: None,
            }),
            None => MemberLookup::Unsupported("a member at a computed offset"),
        })
    }

    pub(super) fn member_offset(&self, die: &Die<'a>) -> Result<Option<u64>> {
        match die.attr(gimli::DW_AT_data_member_location) {
            // Members of unions say nothing.
            None => Ok(Some(0)),
            Some(AttributeValue::Exprloc(expression)) => {
                let mut operations = expression.operations(self.unit(die.at.unit)?.encoding());
                Ok(match (operations.next()?, operations.next()?) {
                    (Some(Operation::PlusConstant { value }), None) => Some(value),
                    _ => None,
                })
            }
            Some(_) => Ok(die.udata(gimli::DW_AT_data_member_location)),
        }
    }
}
