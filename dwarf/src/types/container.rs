use super::{MemberLookup, Sequence, Shape, Target, Type};
use crate::info::{DieRef, Info, Language, Result, components, without_generics};

/// How deep a pair may hide what it holds, and how many structures are gone through.
const MAX_NESTING: usize = 8;
const MAX_STRUCTURES: usize = 64;

/// What a structure of a standard library holds, as far as arithmetic over its members tells it.
/// Offsets are from the beginning of the structure, of words of eight bytes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Container {
    /// A pointer and a length; the elements are so many bytes behind what is pointed to.
    Counted { sequence: Sequence, skip: u64 },
    /// A pointer and a number that is part of the type.
    Fixed {
        pointer: u64,
        count: u64,
        element: Target,
    },
    /// `std::vector`: where it begins and where it ends.
    Between {
        begin: u64,
        end: u64,
        element: Target,
    },
    /// `std::array`: the elements themselves.
    Inline {
        offset: u64,
        count: u64,
        element: Target,
    },
    /// `std::deque` of libstdc++: blocks of 512 bytes, and a row of pointers to them.
    Blocks {
        start: u64,
        finish: u64,
        element: Target,
    },
    /// Rust's `VecDeque`: the first element is at `head`, and behind the last slot comes the first.
    Ring {
        pointer: u64,
        capacity: u64,
        head: u64,
        length: u64,
        element: Target,
    },
    /// What only a walk finds, and how much of it there is.
    Walked { length: u64 },
}

impl<'a> Info<'a> {
    /// The container that a structure is, recognised by its name and members.
    pub(crate) fn container(&self, structure: DieRef) -> Result<Option<Container>> {
        if let Some(sequence) = self.sequence(structure)? {
            return Ok(Some(Container::Counted { sequence, skip: 0 }));
        }
        let Some(name) = self.library_name(structure)? else {
            return Ok(None);
        };
        match self.language(structure.unit) {
            Language::Rust => self.rust_container(structure, &name),
            Language::Cpp => self.cpp_container(structure, &name),
            Language::C => Ok(None),
        }
    }

    /// The name of a structure of a standard library, without what it was made for.
    pub(crate) fn library_name(&self, structure: DieRef) -> Result<Option<String>> {
        let qualified = self.qualified_name(structure)?;
        let parts = components(&qualified);
        const LIBRARIES: [&str; 5] = ["std", "alloc", "core", "hashbrown", "__gnu_cxx"];
        let of_library = |first: &&&str| LIBRARIES.contains(*first);
        Ok(match (parts.first().filter(of_library), parts.last()) {
            (Some(_), Some(last)) if parts.len() > 1 => Some(without_generics(last).to_owned()),
            _ => None,
        })
    }

    fn rust_container(&self, structure: DieRef, name: &str) -> Result<Option<Container>> {
        let length = |path: &[&str]| -> Result<Option<Container>> {
            let found = self.word_at(structure, path)?;
            Ok(found.map(|length| Container::Walked { length }))
        };
        match name {
            "VecDeque" => {
                let Some(buffer) = self.at_path(structure, &["buf"])? else {
                    return Ok(None);
                };
                let words = (
                    self.pointer_within(&buffer)?,
                    self.capacity(structure)?,
                    self.word_at(structure, &["head"])?,
                    self.word_at(structure, &["len"])?,
                    self.parameter(structure, "T")?,
                );
                let (Some(pointer), Some(capacity), Some(head), Some(length), Some(element)) =
                    words
                else {
                    return Ok(None);
                };
                Ok(Some(Container::Ring {
                    pointer,
                    capacity,
                    head,
                    length,
                    element,
                }))
            }
            "Rc" | "Arc" => self.counted_behind_header(structure),
            "HashMap" => length(&["base", "table", "table", "items"]),
            "HashSet" => length(&["base", "map", "table", "table", "items"]),
            "BTreeMap" | "LinkedList" => match length(&["length"])? {
                None => length(&["len"]),
                found => Ok(found),
            },
            "BTreeSet" => length(&["map", "length"]),
            "BinaryHeap" => match self.at_path(structure, &["data"])? {
                Some((offset, of)) => self.inner_vector(offset, &of),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn inner_vector(&self, offset: u64, of: &Type) -> Result<Option<Container>> {
        let Shape::Struct { die, .. } = of.shape else {
            return Ok(None);
        };
        let sequence = self.sequence(die)?.map(|inner| Sequence {
            pointer: inner.pointer.wrapping_add(offset),
            length: inner.length.wrapping_add(offset),
            ..inner
        });
        Ok(sequence.map(|sequence| Container::Counted { sequence, skip: 0 }))
    }

    /// `Rc<str>`, `Arc<[T]>`: their pointer leads to the counts of owners before the elements.
    fn counted_behind_header(&self, structure: DieRef) -> Result<Option<Container>> {
        let Some((offset, of)) = self.at_path(structure, &["ptr", "pointer"])? else {
            return Ok(None);
        };
        let Shape::Struct { die, .. } = of.shape else {
            return Ok(None);
        };
        let (Some(data), Some(length)) = (
            self.at_path(die, &["data_ptr"])?,
            self.word_at(die, &["length"])?,
        ) else {
            return Ok(None);
        };
        let Shape::Pointer { target, .. } = &data.1.shape else {
            return Ok(None);
        };
        let Shape::Struct { die: counts, .. } = self.target(target)?.shape else {
            return Ok(None);
        };
        let value = match self.at_path(counts, &["value"])? {
            None => self.at_path(counts, &["data"])?,
            found => found,
        };
        let Some((skip, elements)) = value else {
            return Ok(None);
        };
        let name = self.own_name(&self.die(structure)?).unwrap_or_default();
        let text = name.starts_with("Rc<str") || name.starts_with("Arc<str");
        let element = match elements.shape {
            Shape::Array { element, .. } => element,
            // Of text, debug info names the type of its bytes.
            _ => match elements.at {
                Some(at) => Target::Die(at),
                None => return Ok(None),
            },
        };
        Ok(Some(Container::Counted {
            sequence: Sequence {
                pointer: offset.wrapping_add(data.0),
                length: offset.wrapping_add(length),
                element,
                text,
            },
            skip,
        }))
    }

    fn cpp_container(&self, structure: DieRef, name: &str) -> Result<Option<Container>> {
        let word = |path: &[&str]| self.word_at(structure, path);
        let first = |paths: &[&[&str]]| -> Result<Option<Container>> {
            for path in paths {
                if let Some(length) = self.word_at(structure, path)? {
                    return Ok(Some(Container::Walked { length }));
                }
            }
            Ok(None)
        };
        match name {
            "vector" => {
                let (begin, end) = match word(&["_M_impl", "_M_start"])? {
                    Some(begin) => (Some(begin), word(&["_M_impl", "_M_finish"])?),
                    None => (word(&["__begin_"])?, word(&["__end_"])?),
                };
                let element = self.element_parameter(structure)?;
                // The bits of `vector<bool>` are no elements: its members are iterators.
                Ok(match (begin, end, element) {
                    (Some(begin), Some(end), Some(element)) => Some(Container::Between {
                        begin,
                        end,
                        element,
                    }),
                    _ => None,
                })
            }
            "array" => {
                let elements = match self.at_path(structure, &["_M_elems"])? {
                    None => self.at_path(structure, &["__elems_"])?,
                    found => found,
                };
                Ok(match elements {
                    Some((
                        offset,
                        Type {
                            shape: Shape::Array { element, counts },
                            ..
                        },
                    )) => match counts[..] {
                        [Some(count)] => Some(Container::Inline {
                            offset,
                            count,
                            element,
                        }),
                        _ => None,
                    },
                    _ => None,
                })
            }
            "span" => self.span(structure),
            "deque" => {
                let at = |name: &str| self.at_path(structure, &["_M_impl", name]);
                let (Some((start, _)), Some((finish, of))) = (at("_M_start")?, at("_M_finish")?)
                else {
                    return Ok(None);
                };
                let Shape::Struct { die, .. } = of.shape else {
                    return Ok(None);
                };
                // In this order, each a pointer.
                for (index, name) in ["_M_cur", "_M_first", "_M_last", "_M_node"]
                    .iter()
                    .enumerate()
                {
                    if self.word_at(die, &[name])? != Some(index as u64 * 8) {
                        return Ok(None);
                    }
                }
                let element = self.element_parameter(structure)?;
                Ok(element.map(|element| Container::Blocks {
                    start,
                    finish,
                    element,
                }))
            }
            "map" | "multimap" | "set" | "multiset" => first(&[
                &["_M_t", "_M_impl", "_M_node_count"],
                &["__tree_", "__size_"],
                &["__tree_", "__pair3_", "__value_"],
            ]),
            "unordered_map" | "unordered_multimap" | "unordered_set" | "unordered_multiset" => {
                first(&[
                    &["_M_h", "_M_element_count"],
                    &["__table_", "__size_"],
                    &["__table_", "__p2_", "__value_"],
                ])
            }
            "list" => first(&[
                &["_M_impl", "_M_node", "_M_size"],
                &["__size_"],
                &["__size_alloc_", "__value_"],
            ]),
            "stack" | "queue" | "priority_queue" => Ok(None),
            _ => Ok(None),
        }
    }

    fn span(&self, structure: DieRef) -> Result<Option<Container>> {
        let pointer = match self.at_path(structure, &["_M_ptr"])? {
            None => self.at_path(structure, &["__data_"])?,
            found => found,
        };
        let Some((pointer, of)) = pointer else {
            return Ok(None);
        };
        let Shape::Pointer { target, .. } = of.shape else {
            return Ok(None);
        };
        let length = match self.word_at(structure, &["_M_extent", "_M_extent_value"])? {
            None => self.word_at(structure, &["__size_"])?,
            found => found,
        };
        if let Some(length) = length {
            return Ok(Some(Container::Counted {
                sequence: Sequence {
                    pointer,
                    length,
                    element: target,
                    text: false,
                },
                skip: 0,
            }));
        }
        let children = self.children(structure)?;
        let extent = children.iter().find_map(|die| {
            let is_it = die.tag() == gimli::DW_TAG_template_value_parameter;
            die.udata(gimli::DW_AT_const_value).filter(|_| is_it)
        });
        Ok(extent.map(|count| Container::Fixed {
            pointer,
            count,
            element: target,
        }))
    }

    /// Where the capacity of a raw vector is: a number that newer compilers wrap.
    fn capacity(&self, structure: DieRef) -> Result<Option<u64>> {
        for path in [
            &["buf", "inner", "cap", "__0"][..],
            &["buf", "inner", "cap"],
            &["buf", "cap", "__0"],
            &["buf", "cap"],
        ] {
            if let Some(found) = self.word_at(structure, path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The type that a container was made for.
    fn element_parameter(&self, structure: DieRef) -> Result<Option<Target>> {
        match self.parameter(structure, "_Tp")? {
            None => self.parameter(structure, "T"),
            found => Ok(found),
        }
    }

    fn parameter(&self, structure: DieRef, name: &str) -> Result<Option<Target>> {
        let children = self.children(structure)?;
        let parameter = children.iter().find(|die| {
            die.tag() == gimli::DW_TAG_template_type_parameter
                && self.own_name(die).as_deref() == Some(name)
        });
        let at = parameter.and_then(|die| self.follow(die, gimli::DW_AT_type));
        Ok(at.map(Target::Die))
    }

    /// The first of what a class keeps in a tuple or a compressed pair: their bases have the order.
    pub(crate) fn first_of_pair(&self, structure: DieRef) -> Result<Option<(u64, Type)>> {
        let mut left = MAX_STRUCTURES;
        self.first_within(structure, 0, &mut left)
    }

    fn first_within(
        &self,
        structure: DieRef,
        depth: usize,
        left: &mut usize,
    ) -> Result<Option<(u64, Type)>> {
        let name = self.own_name(&self.die(structure)?).unwrap_or_default();
        for (holder, member) in [
            ("_Head_base<0", "_M_head_impl"),
            ("__compressed_pair_elem<", "__value_"),
        ] {
            if name.starts_with(holder) {
                return self.at_path(structure, &[member]);
            }
        }
        for die in self.children(structure)? {
            let is_part = matches!(die.tag(), gimli::DW_TAG_member | gimli::DW_TAG_inheritance);
            if !is_part || depth >= MAX_NESTING || *left == 0 {
                continue;
            }
            *left -= 1;
            let (Some(of), Some(offset)) = (
                self.follow(&die, gimli::DW_AT_type),
                self.member_offset(&die)?,
            ) else {
                continue;
            };
            let Shape::Struct { die: inner, .. } = self.type_at(of)?.shape else {
                continue;
            };
            if let Some((further, of)) = self.first_within(inner, depth + 1, left)? {
                return Ok(Some((offset.wrapping_add(further), of)));
            }
        }
        // libc++ of today keeps it as a plain member.
        if depth == 0 {
            return self.at_path(structure, &["__ptr_"]);
        }
        Ok(None)
    }

    /// A member of a member, and so on: its offset and type.
    pub(crate) fn at_path(&self, structure: DieRef, path: &[&str]) -> Result<Option<(u64, Type)>> {
        let mut at = structure;
        let mut offset = 0u64;
        for (index, name) in path.iter().enumerate() {
            let member = match self.member(at, name)? {
                MemberLookup::Found(member) if member.bits.is_none() => member,
                _ => return Ok(None),
            };
            offset = offset.wrapping_add(member.offset);
            if index + 1 == path.len() {
                return Ok(Some((offset, member.of)));
            }
            let Shape::Struct { die, .. } = member.of.shape else {
                return Ok(None);
            };
            at = die;
        }
        Ok(None)
    }

    /// The offset of a number or pointer of eight bytes.
    fn word_at(&self, structure: DieRef, path: &[&str]) -> Result<Option<u64>> {
        Ok(match self.at_path(structure, path)? {
            Some((offset, of)) => {
                let is_word = matches!(
                    of.shape,
                    Shape::Int { bytes: 8, .. } | Shape::Pointer { .. }
                );
                is_word.then_some(offset)
            }
            None => None,
        })
    }
}
