use gimli::{AttributeValue, DwAte};

use super::evaluate::Result;
use super::tree::{Absent, Kind};
use crate::info::{Die, DieRef, Info, Language};

/// The longest chain of typedefs and qualifiers.
const MAX_CHAIN: usize = 64;
/// How deep arrays of arrays are nested.
const MAX_NESTING: usize = 16;

/// What a type is, behind its typedefs and qualifiers.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Shape {
    Base {
        encoding: DwAte,
        bytes: u64,
        name: String,
        /// How many of its bits count, where that is told apart from its size.
        used: Option<u64>,
    },
    /// `None` points to void.
    Pointer(Option<DieRef>),
    /// A pointer to a member of a class.
    MemberPointer {
        to: Option<DieRef>,
        class: Option<DieRef>,
    },
    Array {
        die: DieRef,
        element: Option<DieRef>,
        /// Outermost first; `None` where it is not told.
        counts: Vec<Option<u64>>,
    },
    Struct {
        die: DieRef,
        /// `None` of one that is only declared.
        bytes: Option<u64>,
    },
    Union {
        die: DieRef,
        bytes: Option<u64>,
    },
    Enum {
        die: DieRef,
        bytes: u64,
        signed: bool,
    },
    Function,
    Void,
    Other,
}

impl Shape {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Shape::Base { bytes: 0, .. } => Kind::Unit,
            Shape::Base {
                encoding,
                name,
                bytes,
                ..
            } => match *encoding {
                gimli::DW_ATE_boolean => Kind::Bool,
                gimli::DW_ATE_float
                | gimli::DW_ATE_decimal_float
                | gimli::DW_ATE_complex_float
                | gimli::DW_ATE_imaginary_float => Kind::Float,
                gimli::DW_ATE_UTF => Kind::Char,
                gimli::DW_ATE_signed_char | gimli::DW_ATE_unsigned_char
                    if name == "char" && *bytes == 1 =>
                {
                    Kind::Char
                }
                gimli::DW_ATE_signed | gimli::DW_ATE_signed_char => Kind::Int,
                gimli::DW_ATE_unsigned | gimli::DW_ATE_unsigned_char | gimli::DW_ATE_address => {
                    Kind::Uint
                }
                _ => Kind::Unknown,
            },
            Shape::Pointer(_) | Shape::MemberPointer { .. } => Kind::Pointer,
            Shape::Array { .. } => Kind::Array,
            Shape::Struct { .. } => Kind::Struct,
            Shape::Union { .. } => Kind::Union,
            Shape::Enum { .. } => Kind::Enum,
            Shape::Function => Kind::Function,
            Shape::Void | Shape::Other => Kind::Unknown,
        }
    }
}

/// What a type is.
pub(super) fn shape(info: &Info<'_>, of: Option<DieRef>) -> Result<Shape> {
    let Some(mut at) = of else {
        return Ok(Shape::Void);
    };
    let mut is_wide = false;
    for _ in 0..MAX_CHAIN {
        let die = info.die(at)?;
        let bytes = die.udata(gimli::DW_AT_byte_size);
        let target = info.follow(&die, gimli::DW_AT_type);
        is_wide = is_wide || is_wide_character(info, &die);
        return Ok(match die.tag() {
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type
            | gimli::DW_TAG_immutable_type => match target {
                Some(next) => {
                    at = next;
                    continue;
                }
                None => Shape::Void,
            },
            gimli::DW_TAG_base_type => match die.attr(gimli::DW_AT_encoding) {
                Some(AttributeValue::Encoding(encoding)) => Shape::Base {
                    encoding: if is_wide { gimli::DW_ATE_UTF } else { encoding },
                    bytes: bytes.unwrap_or(0),
                    name: info.own_name(&die).unwrap_or_default(),
                    used: die.udata(gimli::DW_AT_bit_size),
                },
                _ => Shape::Other,
            },
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type => Shape::Pointer(target),
            gimli::DW_TAG_ptr_to_member_type => Shape::MemberPointer {
                to: target,
                class: info.follow(&die, gimli::DW_AT_containing_type),
            },
            gimli::DW_TAG_array_type => Shape::Array {
                die: at,
                element: target,
                counts: info.counts(at)?,
            },
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => {
                let die = info.complete(&die)?;
                let bytes = info.die(die)?.udata(gimli::DW_AT_byte_size);
                Shape::Struct { die, bytes }
            }
            gimli::DW_TAG_union_type => {
                let die = info.complete(&die)?;
                let bytes = info.die(die)?.udata(gimli::DW_AT_byte_size);
                Shape::Union { die, bytes }
            }
            gimli::DW_TAG_enumeration_type => {
                let under = match target {
                    Some(under) => shape_of_base(info, under)?,
                    None => None,
                };
                Shape::Enum {
                    die: at,
                    bytes: bytes.or(under.map(|under| under.0)).unwrap_or(0),
                    signed: match under {
                        Some((_, signed)) => signed,
                        None => has_negative(info, at)?,
                    },
                }
            }
            gimli::DW_TAG_subroutine_type => Shape::Function,
            // `nullptr_t` has the size of a pointer (C++, basic.fundamental).
            gimli::DW_TAG_unspecified_type if is_null_pointer(info, &die) => Shape::Pointer(None),
            gimli::DW_TAG_unspecified_type => Shape::Void,
            _ => Shape::Other,
        });
    }
    Err(Absent::unsupported("a type that refers to itself"))
}

/// Whether a type is one of C's for characters: integers of their own in C++, typedefs in C.
fn is_wide_character<'a>(info: &Info<'a>, die: &Die<'a>) -> bool {
    let may_be = matches!(die.tag(), gimli::DW_TAG_typedef | gimli::DW_TAG_base_type);
    may_be
        && info.language(die.at.unit) != Language::Rust
        && info.own_name(die).is_some_and(|name| {
            ["wchar_t", "char8_t", "char16_t", "char32_t"].contains(&name.as_str())
        })
}

fn is_null_pointer<'a>(info: &Info<'a>, die: &Die<'a>) -> bool {
    info.own_name(die)
        .is_some_and(|name| name.contains("nullptr"))
}

/// Size and sign of the integer that an enumeration is.
fn shape_of_base(info: &Info<'_>, at: DieRef) -> Result<Option<(u64, bool)>> {
    let mut at = at;
    for _ in 0..MAX_CHAIN {
        let die = info.die(at)?;
        if die.tag() == gimli::DW_TAG_base_type {
            let signed = matches!(
                die.attr(gimli::DW_AT_encoding),
                Some(AttributeValue::Encoding(
                    gimli::DW_ATE_signed | gimli::DW_ATE_signed_char
                ))
            );
            let bytes = die.udata(gimli::DW_AT_byte_size).unwrap_or(0);
            return Ok(Some((bytes, signed)));
        }
        match info.follow(&die, gimli::DW_AT_type) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(None)
}

/// Where debug info does not say what an enumeration is made of, a negative member tells.
fn has_negative(info: &Info<'_>, at: DieRef) -> Result<bool> {
    let mut members = info.children(at)?.into_iter();
    Ok(members.any(|die| {
        matches!(
            die.attr(gimli::DW_AT_const_value),
            Some(AttributeValue::Sdata(..0))
        )
    }))
}

/// The bytes of a value of a type; `None` where that is not told.
pub(super) fn size(info: &Info<'_>, of: Option<DieRef>) -> Result<Option<u64>> {
    size_within(info, of, 0)
}

fn size_within(info: &Info<'_>, of: Option<DieRef>, depth: usize) -> Result<Option<u64>> {
    Ok(match shape(info, of)? {
        Shape::Base { bytes, .. } | Shape::Enum { bytes, .. } => Some(bytes),
        Shape::Pointer(_) => Some(8),
        Shape::MemberPointer { to, .. } => match shape(info, to)? {
            Shape::Function => Some(16),
            _ => Some(8),
        },
        Shape::Struct { bytes, .. } | Shape::Union { bytes, .. } => bytes,
        Shape::Array { .. } if depth > MAX_NESTING => None,
        Shape::Array {
            element, counts, ..
        } => {
            let mut size = size_within(info, element, depth + 1)?;
            for count in counts {
                size = size
                    .zip(count)
                    .and_then(|(size, count)| size.checked_mul(count));
            }
            size
        }
        Shape::Function | Shape::Void | Shape::Other => None,
    })
}
