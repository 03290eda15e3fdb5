use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::info::{Die, DieRef, Info, components, without_generics};
use crate::target::Target;
use crate::value::evaluate::Result;
use crate::value::fields::{Field, FieldAt, fields};
use crate::value::object::Object;
use crate::value::shape::{Shape, shape, size};
use crate::value::tree::Absent;

/// How deep bases and anonymous members nest.
const MAX_NESTING: usize = 8;

/// An object with its type; `None` is void.
#[derive(Clone, Debug)]
pub(in crate::value) struct Typed {
    pub(in crate::value) of: Option<DieRef>,
    pub(in crate::value) object: Object,
}

/// What a template was made for, and the typedefs in it.
pub(in crate::value) struct Argument {
    pub(in crate::value) tag: gimli::DwTag,
    /// Empty of the members of a pack.
    pub(in crate::value) name: String,
    pub(in crate::value) of: Option<DieRef>,
    /// Of what is a number.
    pub(in crate::value) value: Option<u64>,
}

/// The eyes of those who recognise structures: types and members by name, memory by type.
pub(in crate::value) struct Look<'t, 'a> {
    pub(in crate::value) target: &'t Target<'a>,
    pub(in crate::value) info: &'t Rc<Info<'a>>,
    fields: RefCell<HashMap<DieRef, Rc<Vec<Field<'a>>>>>,
    paths: RefCell<HashMap<DieRef, Rc<str>>>,
    declared: RefCell<HashMap<(usize, String), bool>>,
    arguments: RefCell<HashMap<DieRef, Rc<Vec<Argument>>>>,
    alignments: RefCell<HashMap<DieRef, u64>>,
}

impl<'t, 'a> Look<'t, 'a> {
    pub(in crate::value) fn new(target: &'t Target<'a>, info: &'t Rc<Info<'a>>) -> Look<'t, 'a> {
        Look {
            target,
            info,
            fields: RefCell::default(),
            paths: RefCell::default(),
            declared: RefCell::default(),
            arguments: RefCell::default(),
            alignments: RefCell::default(),
        }
    }

    pub(in crate::value) fn shape(&self, of: Option<DieRef>) -> Result<Shape> {
        shape(self.info, of)
    }

    /// In bytes; `None` where it is not told.
    pub(in crate::value) fn size(&self, of: Option<DieRef>) -> Result<Option<u64>> {
        size(self.info, of)
    }

    /// The DIE of a structure or union, behind typedefs and completed.
    pub(in crate::value) fn structure(&self, of: Option<DieRef>) -> Result<Option<DieRef>> {
        Ok(match self.shape(of)? {
            Shape::Struct { die, .. } | Shape::Union { die, .. } => Some(die),
            _ => None,
        })
    }

    /// The name that a structure has in its scope, with what it was made for; empty for others.
    pub(in crate::value) fn name(&self, of: Option<DieRef>) -> Result<String> {
        let Some(die) = self.structure(of)? else {
            return Ok(String::new());
        };
        Ok(self.info.own_name(&self.info.die(die)?).unwrap_or_default())
    }

    /// Where a structure is declared, and its name without what it was made for:
    /// `alloc::vec::Vec`. Of others it is empty.
    pub(in crate::value) fn declared_as(&self, of: Option<DieRef>) -> Result<Rc<str>> {
        let Some(die) = self.structure(of)? else {
            return Ok(Rc::from(""));
        };
        if let Some(known) = self.paths.borrow().get(&die) {
            return Ok(Rc::clone(known));
        }
        let qualified = self.info.qualified_name(die)?;
        let parts = components(&qualified);
        let bare: Vec<&str> = parts.iter().map(|part| without_generics(part)).collect();
        let path: Rc<str> = Rc::from(bare.join("::"));
        self.paths.borrow_mut().insert(die, Rc::clone(&path));
        Ok(path)
    }

    /// The parameters and typedefs of a structure; those of a pack follow the pack.
    pub(in crate::value) fn arguments(&self, die: DieRef) -> Result<Rc<Vec<Argument>>> {
        if let Some(known) = self.arguments.borrow().get(&die) {
            return Ok(Rc::clone(known));
        }
        let mut read = Vec::new();
        for child in self.info.children(die)? {
            let tag = child.tag();
            if !is_argument(tag) {
                continue;
            }
            read.push(self.argument(&child));
            if tag == gimli::DW_TAG_GNU_template_parameter_pack {
                for inner in self.info.children(child.at)? {
                    read.push(Argument {
                        name: String::new(),
                        ..self.argument(&inner)
                    });
                }
            }
        }
        let read = Rc::new(read);
        self.arguments.borrow_mut().insert(die, Rc::clone(&read));
        Ok(read)
    }

    fn argument(&self, die: &Die<'a>) -> Argument {
        Argument {
            tag: die.tag(),
            name: self.info.own_name(die).unwrap_or_default(),
            of: self.info.follow(die, gimli::DW_AT_type),
            value: match die.attr(gimli::DW_AT_const_value) {
                Some(gimli::AttributeValue::Sdata(number)) => u64::try_from(number).ok(),
                _ => die.udata(gimli::DW_AT_const_value),
            },
        }
    }

    /// The alignment of a type, which `read` finds out once.
    pub(in crate::value) fn alignment(
        &self,
        of: Option<DieRef>,
        read: impl FnOnce() -> Result<u64>,
    ) -> Result<u64> {
        let Some(die) = of else {
            return Ok(1);
        };
        if let Some(known) = self.alignments.borrow().get(&die) {
            return Ok(*known);
        }
        let alignment = read()?;
        self.alignments.borrow_mut().insert(die, alignment);
        Ok(alignment)
    }

    /// Whether a unit has something of a name, in namespaces one in the other.
    pub(in crate::value) fn declares(&self, unit: usize, path: &[&str]) -> Result<bool> {
        let key = (unit, path.join("::"));
        if let Some(known) = self.declared.borrow().get(&key) {
            return Ok(*known);
        }
        let root = self
            .info
            .unit(unit)?
            .entries_tree(None)?
            .root()?
            .entry()
            .offset()
            .0;
        let mut inside = vec![DieRef { unit, offset: root }];
        for name in path {
            let mut found = Vec::new();
            for at in inside {
                let children = self.info.children(at)?.into_iter();
                let named = children.filter(|die| self.info.own_name(die).as_deref() == Some(name));
                found.extend(named.map(|die| die.at));
            }
            inside = found;
        }
        self.declared.borrow_mut().insert(key, !inside.is_empty());
        Ok(!inside.is_empty())
    }

    pub(in crate::value) fn fields_of(&self, die: DieRef) -> Result<Rc<Vec<Field<'a>>>> {
        if let Some(known) = self.fields.borrow().get(&die) {
            return Ok(Rc::clone(known));
        }
        let read = Rc::new(fields(self.info, die)?);
        self.fields.borrow_mut().insert(die, Rc::clone(&read));
        Ok(read)
    }

    /// A member by its name, those of bases and anonymous members too; `None` where there is none
    /// or it is a bit-field.
    pub(in crate::value) fn member(&self, object: &Typed, name: &str) -> Result<Option<Typed>> {
        self.member_within(object, name, 0)
    }

    fn member_within(&self, object: &Typed, name: &str, depth: usize) -> Result<Option<Typed>> {
        let Some(die) = self.structure(object.of)? else {
            return Ok(None);
        };
        let fields = self.fields_of(die)?;
        let at = |field: &Field<'a>| match field.at {
            FieldAt::Bytes(offset) => Some(Typed {
                of: field.of,
                object: object.object.at(offset),
            }),
            _ => None,
        };
        let own = fields
            .iter()
            .find(|field| !field.is_base && field.name.as_deref() == Some(name));
        if let Some(own) = own {
            return Ok(at(own));
        }
        if depth == MAX_NESTING {
            return Ok(None);
        }
        for field in fields.iter() {
            if !field.is_base && field.name.is_some() {
                continue;
            }
            if let Some(inner) = at(field)
                && let Some(found) = self.member_within(&inner, name, depth + 1)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A member of a member, and so on.
    pub(in crate::value) fn path(&self, object: &Typed, names: &[&str]) -> Result<Option<Typed>> {
        let mut at = object.clone();
        for name in names {
            match self.member(&at, name)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The number in an integer, an enumeration or a pointer, extended with zeros.
    pub(in crate::value) fn word(&self, object: &Typed) -> Result<u64> {
        let bytes = self
            .size(object.of)?
            .filter(|bytes| (1..=8).contains(bytes));
        let bytes = bytes.ok_or_else(|| Absent::unsupported("a number of an unusual size"))?;
        let word = object.object.bits(self.target, 0, bytes * 8)?;
        Ok(u64::try_from(word).expect("at most 64 bits"))
    }

    /// The number in a member, which may be a bit-field.
    pub(in crate::value) fn bits(&self, object: &Typed, name: &str) -> Result<Option<u64>> {
        if let Some(whole) = self.member(object, name)? {
            return Ok(Some(self.word(&whole)?));
        }
        self.bits_within(object, name, 0)
    }

    fn bits_within(&self, object: &Typed, name: &str, depth: usize) -> Result<Option<u64>> {
        let Some(die) = self.structure(object.of)?.filter(|_| depth < MAX_NESTING) else {
            return Ok(None);
        };
        for field in self.fields_of(die)?.iter() {
            match field.at {
                FieldAt::Bits { offset, size } if field.name.as_deref() == Some(name) => {
                    let word = object.object.bits(self.target, offset, size)?;
                    return Ok(u64::try_from(word).ok());
                }
                FieldAt::Bytes(offset) if field.name.is_none() => {
                    let inner = Typed {
                        of: field.of,
                        object: object.object.at(offset),
                    };
                    if let Some(found) = self.bits_within(&inner, name, depth + 1)? {
                        return Ok(Some(found));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// The address in a pointer or reference and the type of what is there; `None` of what is no
    /// pointer.
    pub(in crate::value) fn pointer(
        &self,
        pointer: &Typed,
    ) -> Result<Option<(u64, Option<DieRef>)>> {
        let Shape::Pointer(to) = self.shape(pointer.of)? else {
            return Ok(None);
        };
        let address = u64::from_le_bytes(pointer.object.array(self.target)?);
        Ok(Some((address, to)))
    }

    /// What a pointer or reference points to; `None` of null, and of what is no pointer.
    pub(in crate::value) fn pointee(&self, pointer: &Typed) -> Result<Option<Typed>> {
        let Shape::Pointer(to) = self.shape(pointer.of)? else {
            return Ok(None);
        };
        let address = u64::from_le_bytes(pointer.object.array(self.target)?);
        Ok((address != 0).then_some(Typed {
            of: to,
            object: Object::Memory(address),
        }))
    }

    /// The type that a structure was made for, by the name of the parameter: `T`, `_Tp`.
    pub(in crate::value) fn parameter(
        &self,
        of: Option<DieRef>,
        name: &str,
    ) -> Result<Option<DieRef>> {
        let Some(die) = self.structure(of)? else {
            return Ok(None);
        };
        let children = self.info.children(die)?;
        let parameter = children.iter().find(|die| {
            die.tag() == gimli::DW_TAG_template_type_parameter
                && self.info.own_name(die).as_deref() == Some(name)
        });
        Ok(parameter.and_then(|die| self.info.follow(die, gimli::DW_AT_type)))
    }
}

fn is_argument(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_template_type_parameter
            | gimli::DW_TAG_template_value_parameter
            | gimli::DW_TAG_GNU_template_parameter_pack
            | gimli::DW_TAG_typedef
    )
}
