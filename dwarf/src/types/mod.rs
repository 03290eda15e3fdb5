//! Types as debug info describes them.

mod alternatives;
mod container;
mod member;
mod name;
mod named;
mod outline;
mod sequence;
mod variants;
mod vtable;

use gimli::{AttributeValue, DwAte};

use crate::index::Kind;
use crate::info::{DieRef, Info, Language, Result};

pub(crate) use alternatives::Alternatives;
pub(crate) use container::Container;
pub(crate) use member::{Bits, MemberLookup};
pub(crate) use outline::Outline;
pub(crate) use sequence::Sequence;
pub(crate) use variants::{Variant, Variants};
pub(crate) use vtable::Vtables;

/// The longest chain of typedefs and qualifiers.
const MAX_CHAIN: usize = 64;
/// The most definitions of one name that are compared.
const MAX_DEFINITIONS: usize = 4096;

/// A type, looked at through its typedefs and qualifiers.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Type {
    /// As the program declares it.
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// Where debug info has it; `None` of what expressions make.
    pub(crate) at: Option<DieRef>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Shape {
    Int {
        bytes: u8,
        signed: bool,
    },
    Bool {
        bytes: u8,
    },
    /// C's plain `char`, a byte of text; or a Unicode scalar of 2 or 4 bytes.
    Char {
        bytes: u8,
        signed: bool,
    },
    Float {
        bytes: u8,
    },
    Pointer {
        target: Target,
        reference: bool,
    },
    /// The sizes of the dimensions, outermost first; `None` where unknown.
    Array {
        element: Target,
        counts: Vec<Option<u64>>,
    },
    /// A structure, class or union.
    Struct {
        die: DieRef,
        bytes: u64,
    },
    Enum {
        die: DieRef,
        bytes: u8,
        signed: bool,
    },
    /// Something without values here: `void`, a function, 128-bit integers.
    Other,
}

/// What a pointer points to or an array holds.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Target {
    Void,
    Die(DieRef),
    Type(Box<Type>),
}

impl Type {
    pub(crate) fn named(name: &str, shape: Shape) -> Type {
        Type {
            name: name.to_owned(),
            shape,
            at: None,
        }
    }

    pub(crate) fn int(name: &str, bytes: u8, signed: bool) -> Type {
        Type::named(name, Shape::Int { bytes, signed })
    }

    pub(crate) fn bool() -> Type {
        Type::named("bool", Shape::Bool { bytes: 1 })
    }

    /// Whether a value of it fits into one word.
    pub(crate) fn is_scalar(&self) -> bool {
        !matches!(
            self.shape,
            Shape::Array { .. } | Shape::Struct { .. } | Shape::Other
        )
    }
}

impl<'a> Info<'a> {
    /// The type that `DW_AT_type` of a DIE or of one of its origins names; `None` is void.
    pub(crate) fn type_die_of(&self, at: DieRef) -> Result<Option<DieRef>> {
        let origins = self.origins(at)?;
        Ok(origins
            .iter()
            .find_map(|die| self.follow(die, gimli::DW_AT_type)))
    }

    pub(crate) fn target(&self, target: &Target) -> Result<Type> {
        match target {
            Target::Void => Ok(Type::named("void", Shape::Other)),
            Target::Die(die) => self.type_at(*die),
            Target::Type(of) => Ok((**of).clone()),
        }
    }

    /// The type at a DIE.
    pub(crate) fn type_at(&self, at: DieRef) -> Result<Type> {
        Ok(Type {
            name: self.type_name(Some(at)),
            shape: self.shape_at(at)?,
            at: Some(at),
        })
    }

    fn shape_at(&self, at: DieRef) -> Result<Shape> {
        let mut at = at;
        for _ in 0..MAX_CHAIN {
            let die = self.die(at)?;
            let bytes = || die.udata(gimli::DW_AT_byte_size).unwrap_or(0);
            let target = || {
                self.follow(&die, gimli::DW_AT_type)
                    .map_or(Target::Void, Target::Die)
            };
            return Ok(match die.tag() {
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type
                | gimli::DW_TAG_immutable_type => match self.follow(&die, gimli::DW_AT_type) {
                    Some(next) => {
                        at = next;
                        continue;
                    }
                    None => Shape::Other,
                },
                gimli::DW_TAG_base_type => {
                    let name = self.own_name(&die).unwrap_or_default();
                    match die.attr(gimli::DW_AT_encoding) {
                        Some(AttributeValue::Encoding(encoding)) => base(encoding, bytes(), &name),
                        _ => Shape::Other,
                    }
                }
                gimli::DW_TAG_pointer_type => Shape::Pointer {
                    target: target(),
                    // rustc describes references and thin boxes as pointers with a name.
                    reference: self
                        .own_name(&die)
                        .is_some_and(|name| name.starts_with('&') || name.contains("Box<")),
                },
                gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
                    Shape::Pointer {
                        target: target(),
                        reference: true,
                    }
                }
                gimli::DW_TAG_array_type => Shape::Array {
                    element: target(),
                    counts: self.counts(at)?,
                },
                gimli::DW_TAG_structure_type
                | gimli::DW_TAG_class_type
                | gimli::DW_TAG_union_type => {
                    let die = self.complete(&die)?;
                    let bytes = self.die(die)?.udata(gimli::DW_AT_byte_size).unwrap_or(0);
                    Shape::Struct { die, bytes }
                }
                gimli::DW_TAG_enumeration_type => {
                    let signed = match self.follow(&die, gimli::DW_AT_type) {
                        Some(underlying) => matches!(
                            self.shape_of_base(underlying)?,
                            Shape::Int { signed: true, .. }
                        ),
                        None => false,
                    };
                    match u8::try_from(bytes()) {
                        Ok(bytes @ (1 | 2 | 4 | 8)) => Shape::Enum {
                            die: at,
                            bytes,
                            signed,
                        },
                        _ => Shape::Other,
                    }
                }
                _ => Shape::Other,
            });
        }
        Ok(Shape::Other)
    }

    /// The shape of what an enumeration is made of; nothing but integers is asked for.
    fn shape_of_base(&self, at: DieRef) -> Result<Shape> {
        let mut at = at;
        for _ in 0..MAX_CHAIN {
            let die = self.die(at)?;
            match self.follow(&die, gimli::DW_AT_type) {
                Some(next) if die.tag() != gimli::DW_TAG_enumeration_type => at = next,
                _ if die.tag() == gimli::DW_TAG_base_type => return self.shape_at(at),
                _ => break,
            }
        }
        Ok(Shape::Other)
    }

    pub(crate) fn counts(&self, array: DieRef) -> Result<Vec<Option<u64>>> {
        let mut counts = Vec::new();
        for child in self.children(array)? {
            if child.tag() != gimli::DW_TAG_subrange_type {
                continue;
            }
            let upper = child.attr(gimli::DW_AT_upper_bound);
            let count = match (child.udata(gimli::DW_AT_count), upper) {
                (Some(count), _) => Some(count),
                // An array without bounds may say -1.
                (None, Some(AttributeValue::Sdata(upper))) => u64::try_from(upper)
                    .ok()
                    .and_then(|upper| upper.checked_add(1)),
                (None, Some(_)) => child
                    .udata(gimli::DW_AT_upper_bound)
                    .and_then(|upper| upper.checked_add(1)),
                (None, None) => None,
            };
            counts.push(count);
        }
        if counts.is_empty() {
            counts.push(None);
        }
        Ok(counts)
    }

    /// The bytes that a value of a type takes; `None` where that is not known.
    pub(crate) fn size(&self, of: &Type) -> Result<Option<u64>> {
        self.size_within(of, 0)
    }

    fn size_within(&self, of: &Type, depth: usize) -> Result<Option<u64>> {
        Ok(match &of.shape {
            Shape::Int { bytes, .. }
            | Shape::Bool { bytes }
            | Shape::Char { bytes, .. }
            | Shape::Float { bytes }
            | Shape::Enum { bytes, .. } => Some(u64::from(*bytes)),
            Shape::Pointer { .. } => Some(8),
            // A declaration has no size either.
            Shape::Struct { bytes, .. } => Some(*bytes).filter(|&bytes| bytes > 0),
            Shape::Array { .. } if depth > 16 => None,
            Shape::Array { element, counts } => {
                let element = self.target(element)?;
                let mut size = self.size_within(&element, depth + 1)?;
                for count in counts {
                    size = size
                        .zip(*count)
                        .and_then(|(size, count)| size.checked_mul(count));
                }
                size
            }
            Shape::Other => None,
        })
    }

    /// A structure's definition, where `die` is only its declaration; the declaration itself where
    /// there is none, or where files of C have different ones.
    pub(crate) fn complete(&self, die: &crate::info::Die<'a>) -> Result<DieRef> {
        // Of a type in a unit of its own gcc does not always say that this is its declaration.
        if let Some(definition) = self.follow(die, gimli::DW_AT_signature) {
            return Ok(definition);
        }
        if !die.flag(gimli::DW_AT_declaration) {
            return Ok(die.at);
        }
        let Some(name) = self.own_name(die) else {
            return Ok(die.at);
        };
        if self.language(die.at.unit) == Language::C {
            let known = self.definitions.borrow().get(&die.at).copied();
            let found = match known {
                Some(known) => known,
                None => self.definition_in_c(die.at, &name)?.unwrap_or(die.at),
            };
            self.definitions.borrow_mut().insert(die.at, found);
            return Ok(found);
        }
        let wanted = self.qualified_name(die.at)?;
        for candidate in self.binary.names(self).candidates(&wanted, Kind::Type) {
            let structure = self.die(candidate)?.tag() != gimli::DW_TAG_typedef;
            if structure && self.qualified_name(candidate)? == wanted {
                return Ok(candidate);
            }
        }
        Ok(die.at)
    }

    /// The one definition of a name that files of C agree on, or the unit's own.
    fn definition_in_c(&self, declared: DieRef, name: &str) -> Result<Option<DieRef>> {
        let mut found = Vec::new();
        for candidate in self.binary.names(self).candidates(name, Kind::Type) {
            let die = self.die(candidate)?;
            if die.tag() == gimli::DW_TAG_typedef || self.own_name(&die).as_deref() != Some(name) {
                continue;
            }
            if candidate.unit == declared.unit {
                return Ok(Some(candidate));
            }
            found.push(candidate);
        }
        let Some((&first, others)) = found.split_first() else {
            return Ok(None);
        };
        if others.is_empty() {
            return Ok(Some(first));
        }
        let outline = self.outline(first);
        let is_same = |other: &DieRef| self.outline(*other) == outline;
        let agree = others.len() < MAX_DEFINITIONS && others.iter().all(is_same);
        Ok(agree.then_some(first))
    }
}

fn base(encoding: DwAte, bytes: u64, name: &str) -> Shape {
    // What is in the rest of its room, the compiler leaves open.
    if name.contains("_BitInt") {
        return Shape::Other;
    }
    let Ok(bytes) = u8::try_from(bytes) else {
        return Shape::Other;
    };
    match (encoding, bytes) {
        (gimli::DW_ATE_boolean, 1 | 2 | 4 | 8) => Shape::Bool { bytes },
        (gimli::DW_ATE_signed_char, 1) if name == "char" => Shape::Char {
            bytes,
            signed: true,
        },
        (gimli::DW_ATE_unsigned_char, 1) if name == "char" => Shape::Char {
            bytes,
            signed: false,
        },
        (gimli::DW_ATE_UTF, 1 | 2 | 4) => Shape::Char {
            bytes,
            signed: false,
        },
        (gimli::DW_ATE_signed | gimli::DW_ATE_signed_char, 1 | 2 | 4 | 8) => Shape::Int {
            bytes,
            signed: true,
        },
        (
            gimli::DW_ATE_unsigned | gimli::DW_ATE_unsigned_char | gimli::DW_ATE_address,
            1 | 2 | 4 | 8,
        ) => Shape::Int {
            bytes,
            signed: false,
        },
        (gimli::DW_ATE_float, 4 | 8) => Shape::Float { bytes },
        _ => Shape::Other,
    }
}
