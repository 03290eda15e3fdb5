use super::{MemberLookup, Shape, Target, Type};
use crate::info::{Die, DieRef, Info, Result};

/// How deep a container hides its pointer.
const MAX_NESTING: usize = 8;
/// The most structures that the search for it goes through.
const MAX_STRUCTURES: usize = 256;

/// A structure that is a pointer and a length: a string, a slice, a vector.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sequence {
    /// Bytes from the beginning of the structure, of an 8-byte pointer.
    pub(crate) pointer: u64,
    /// The same of the length, an 8-byte count of elements.
    pub(crate) length: u64,
    pub(crate) element: Target,
    /// Whether it is text, UTF-8 by convention.
    pub(crate) text: bool,
}

impl<'a> Info<'a> {
    /// What a structure is a sequence of, recognised by the members that debug info gives it.
    pub(crate) fn sequence(&self, structure: DieRef) -> Result<Option<Sequence>> {
        let name = self.own_name(&self.die(structure)?).unwrap_or_default();
        // Rust: `&str`, `&[T]`, `Box<str>`, `Box<[T]>`. An `Rc<str>` has the same members, but
        // its pointer leads to the counts before the text.
        if let Some(data) = self.plain(structure, "data_ptr")?
            && let Some(length) = self.plain(structure, "length")?
            && ["&", "*", "alloc::boxed::Box<", "Box<"]
                .iter()
                .any(|start| name.starts_with(start))
        {
            let text = ["&str", "&mut str", "*const str", "*mut str"].contains(&name.as_str())
                || name.starts_with("alloc::boxed::Box<str")
                || name.starts_with("Box<str");
            return Ok(sequence(&data, &length, None, text));
        }
        // libstdc++: `std::string`, `std::string_view`.
        if name.starts_with("basic_string") {
            let of_char = name.starts_with("basic_string<char,")
                || name.starts_with("basic_string_view<char,");
            if let Some(holder) = self.plain(structure, "_M_dataplus")?
                && let Shape::Struct { die, .. } = holder.1.shape
                && let Some(data) = self.plain(die, "_M_p")?
                && let Some(length) = self.plain(structure, "_M_string_length")?
            {
                return Ok(sequence(
                    &(holder.0.wrapping_add(data.0), data.1),
                    &length,
                    None,
                    of_char,
                ));
            }
            if let Some(data) = self.plain(structure, "_M_str")?
                && let Some(length) = self.plain(structure, "_M_len")?
            {
                return Ok(sequence(&data, &length, None, of_char));
            }
            return Ok(None);
        }
        // Rust: `String` is a vector of bytes.
        if name == "String"
            && let Some((
                offset,
                Type {
                    shape: Shape::Struct { die, .. },
                    ..
                },
            )) = self.plain(structure, "vec")?
        {
            let inner = self.vector(die)?;
            return Ok(inner.map(|inner| Sequence {
                pointer: inner.pointer.wrapping_add(offset),
                length: inner.length.wrapping_add(offset),
                element: inner.element,
                text: true,
            }));
        }
        if name.starts_with("Vec<") {
            return self.vector(structure);
        }
        Ok(None)
    }

    /// Rust's `Vec`: its pointer is somewhere inside `buf`, and has lost its type on the way.
    fn vector(&self, structure: DieRef) -> Result<Option<Sequence>> {
        let Some(buffer) = self.plain(structure, "buf")? else {
            return Ok(None);
        };
        let Some(length) = self.plain(structure, "len")? else {
            return Ok(None);
        };
        let mut left = MAX_STRUCTURES;
        let Some(data) = self.only_pointer(&buffer, 0, &mut left)? else {
            return Ok(None);
        };
        let children = self.children(structure)?;
        let parameter = children.iter().find(|die| self.is_parameter_t(die));
        let Some(element) = parameter.and_then(|die| self.follow(die, gimli::DW_AT_type)) else {
            return Ok(None);
        };
        Ok(sequence(&data, &length, Some(Target::Die(element)), false))
    }

    /// The offset of the first pointer inside of a part of a structure.
    pub(super) fn pointer_within(&self, part: &(u64, Type)) -> Result<Option<u64>> {
        let mut left = MAX_STRUCTURES;
        let found = self.only_pointer(part, 0, &mut left)?;
        Ok(found.map(|(offset, _)| offset))
    }

    fn is_parameter_t(&self, die: &Die<'a>) -> bool {
        die.tag() == gimli::DW_TAG_template_type_parameter
            && self.own_name(die).as_deref() == Some("T")
    }

    /// The first pointer inside a structure, members in order.
    fn only_pointer(
        &self,
        of: &(u64, Type),
        depth: usize,
        left: &mut usize,
    ) -> Result<Option<(u64, Type)>> {
        match &of.1.shape {
            Shape::Pointer { .. } => Ok(Some(of.clone())),
            Shape::Struct { die, .. } if depth < MAX_NESTING && *left > 0 => {
                *left -= 1;
                for child in self.children(*die)? {
                    if child.tag() != gimli::DW_TAG_member {
                        continue;
                    }
                    let Some(name) = self.own_name(&child) else {
                        continue;
                    };
                    if let Some((offset, inner)) = self.plain(*die, &name)?
                        && let Some((further, found)) =
                            self.only_pointer(&(0, inner), depth + 1, left)?
                    {
                        let offset = of.0.wrapping_add(offset).wrapping_add(further);
                        return Ok(Some((offset, found)));
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// A member that is no bit-field: its offset and type.
    fn plain(&self, structure: DieRef, name: &str) -> Result<Option<(u64, Type)>> {
        Ok(match self.member(structure, name)? {
            MemberLookup::Found(member) if member.bits.is_none() => {
                Some((member.offset, member.of))
            }
            _ => None,
        })
    }
}

/// Puts a sequence together, if pointer and length are what they have to be.
fn sequence(
    data: &(u64, Type),
    length: &(u64, Type),
    element: Option<Target>,
    text: bool,
) -> Option<Sequence> {
    let Shape::Pointer { target, .. } = &data.1.shape else {
        return None;
    };
    let Shape::Int { bytes: 8, .. } = length.1.shape else {
        return None;
    };
    Some(Sequence {
        pointer: data.0,
        length: length.0,
        element: element.unwrap_or_else(|| target.clone()),
        text,
    })
}
