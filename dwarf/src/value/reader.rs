use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::dynamic::KnownClasses;
use super::evaluate::Result;
use super::fields::FieldAt;
use super::library::{self, Contents, Look, Typed};
use super::limits::Limits;
use super::object::Object;
use super::referent::Surroundings;
use super::shape::{Shape, shape, size};
use super::tree::{Absent, Kind, Reason, Value};
use super::{scalar, variant};
use crate::info::{DieRef, Info};
use crate::target::Target;

/// How many pointers are followed one after the other.
const MAX_FOLLOWED: usize = 1;

/// Makes trees of objects, by their types.
pub(super) struct Reader<'t, 'a> {
    pub(super) target: &'t Target<'a>,
    pub(super) info: &'t Rc<Info<'a>>,
    pub(super) look: Look<'t, 'a>,
    pub(super) limits: Limits,
    /// Values that the variable may still have.
    pub(super) left: Cell<usize>,
    /// Of the variable that is read; `None` in what has none.
    pub(super) frame: Option<Surroundings<'t, 'a>>,
    /// Wrappers around the value that is being read.
    pub(super) wrappers: Cell<usize>,
    /// The classes that tables of virtual functions are of, by table and declared class.
    pub(super) dynamic: RefCell<KnownClasses>,
    /// Where structures are defined that this module only declares.
    pub(super) defined: RefCell<HashMap<DieRef, Option<(usize, DieRef)>>>,
    /// Structures that stand for nothing but themselves.
    plain: RefCell<HashSet<DieRef>>,
}

/// How far a value is from its variable.
#[derive(Clone, Copy)]
pub(super) struct Way<'w> {
    pub(super) depth: usize,
    pub(super) followed: usize,
    /// The structures around it, by address and type.
    pub(super) around: &'w [(u64, DieRef)],
}

impl Way<'_> {
    pub(super) fn deeper(self) -> Self {
        Way {
            depth: self.depth + 1,
            ..self
        }
    }

    /// Behind a pointer; `None` where as many were followed as may be.
    pub(super) fn followed(self) -> Option<Self> {
        (self.followed < MAX_FOLLOWED).then_some(Way {
            followed: self.followed + 1,
            ..self
        })
    }

    /// Behind an owner, whose object is part of what is told: where no more pointers are followed
    /// it counts as a structure that deep.
    pub(super) fn owned(self, limits: &Limits) -> Option<Self> {
        self.followed()
            .or_else(|| (self.depth < limits.depth).then(|| self.deeper()))
    }
}

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn new(
        target: &'t Target<'a>,
        info: &'t Rc<Info<'a>>,
        limits: &Limits,
    ) -> Reader<'t, 'a> {
        Reader {
            target,
            info,
            look: Look::new(target, info),
            limits: *limits,
            left: Cell::new(0),
            frame: None,
            wrappers: Cell::new(0),
            dynamic: RefCell::default(),
            defined: RefCell::default(),
            plain: RefCell::default(),
        }
    }

    /// For the variables of a frame, whose types may depend on it.
    pub(super) fn in_frame(mut self, frame: Surroundings<'t, 'a>) -> Reader<'t, 'a> {
        self.frame = Some(frame);
        self
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str, of: Option<DieRef>, object: &Object) -> Value {
        self.read(name, of, object, self.beginning())
    }

    /// The way to a value that is not inside of another one.
    pub(super) fn beginning(&self) -> Way<'static> {
        self.left.set(self.limits.values);
        Way {
            depth: 0,
            followed: 0,
            around: &[],
        }
    }

    pub(super) fn kind(&self, of: Option<DieRef>) -> Kind {
        shape(self.info, of).map_or(Kind::Unknown, |shape| shape.kind())
    }

    pub(super) fn size(&self, of: Option<DieRef>) -> Result<Option<u64>> {
        size(self.info, of)
    }

    pub(super) fn read(
        &self,
        name: &str,
        of: Option<DieRef>,
        object: &Object,
        way: Way<'_>,
    ) -> Value {
        let type_name = self.info.type_name(of);
        let shape = match shape(self.info, of) {
            Ok(shape) => shape,
            Err(absent) => return Value::new(name, type_name, Kind::Unknown).without(absent),
        };
        let value = Value::new(name, type_name, shape.kind());
        let Some(left) = self.left.get().checked_sub(1) else {
            return value.without(Absent::new(Reason::Budget, "as much was read as may be"));
        };
        self.left.set(left);
        match self.filled(value.clone(), &shape, object, way) {
            Ok(value) => value,
            Err(absent) => value.without(absent),
        }
    }

    fn filled(&self, value: Value, shape: &Shape, object: &Object, way: Way<'_>) -> Result<Value> {
        match shape {
            Shape::Base { bytes: 0, .. } => Ok(value.with("()")),
            Shape::Base {
                encoding: gimli::DW_ATE_complex_float,
                bytes,
                name,
                ..
            } => {
                let half = bytes / 2;
                // clang calls all of them `complex`.
                let name = name.strip_prefix("complex ").unwrap_or(name);
                let part = |object: &Object| {
                    let word = object.bits(self.target, 0, half.saturating_mul(8))?;
                    scalar::base(gimli::DW_ATE_float, name, half.saturating_mul(8), word)
                };
                let (real, imaginary) = (part(object)?, part(&object.at(half))?);
                let sign = if imaginary.starts_with('-') { "" } else { "+" };
                Ok(value.with(format!("{real}{sign}{imaginary}i")))
            }
            Shape::Base {
                encoding,
                bytes,
                name,
                used,
            } => {
                let bits = scalar::used_bits(name, bytes.saturating_mul(8), *used)?;
                let word = match (*encoding, bits) {
                    // The room of a `long double` is larger than what it holds; what a register
                    // or a constant gives has no more than that.
                    (gimli::DW_ATE_float, 96 | 128) if name.contains("long double") => {
                        object.bits(self.target, 0, 80)?
                    }
                    _ => object.bits(self.target, 0, bits)?,
                };
                Ok(value.with(scalar::base(*encoding, name, bits, word)?))
            }
            Shape::Enum { die, bytes, signed } => {
                let bits = bytes.saturating_mul(8);
                let word = object.bits(self.target, 0, bits)?;
                self.enumerator(value, *die, bits, *signed, word)
            }
            Shape::Pointer(to) => self.pointer(value, *to, object, way),
            Shape::MemberPointer { to, class } => self.member_pointer(value, *to, *class, object),
            Shape::Array { die, element, .. } => self.array(value, *die, *element, object, way),
            Shape::Struct { die, bytes: None } | Shape::Union { die, bytes: None } => {
                let declared = || Absent::unsupported("the type is only declared");
                let (module, of) = self.defined_elsewhere(*die).ok_or_else(declared)?;
                let whole = self.read_in(module, &value.name, of, object, way);
                whole.ok_or_else(declared)
            }
            Shape::Struct { die, .. } => self.structure(value, *die, object, way),
            Shape::Union { die, .. } => {
                if let Some(contents) = self.contents(*die, object)? {
                    return self.shown(value, contents, way);
                }
                let mut value = value;
                self.members(&mut value, *die, object, way)?;
                Ok(value)
            }
            Shape::Function => {
                let address = object.address();
                let address = address.ok_or_else(|| Absent::unsupported("a function"))?;
                Ok(value.with(self.code(address)))
            }
            Shape::Void | Shape::Other => Err(Absent::unsupported("a type that is not read yet")),
        }
    }

    pub(super) fn enumerator(
        &self,
        value: Value,
        die: DieRef,
        bits: u64,
        signed: bool,
        word: u128,
    ) -> Result<Value> {
        let names = self.info.enumerators(die)?;
        Ok(value.with(scalar::enumeration(&names, bits, signed, word)))
    }

    fn structure(
        &self,
        mut value: Value,
        die: DieRef,
        object: &Object,
        way: Way<'_>,
    ) -> Result<Value> {
        if let Some(contents) = self.contents(die, object)? {
            return self.shown(value, contents, way);
        }
        for part in self.info.children(die)? {
            if part.tag() != gimli::DW_TAG_variant_part {
                continue;
            }
            value.kind = match value.type_name.starts_with("Option<") {
                true => Kind::Optional,
                false => Kind::Variant,
            };
            let active = match variant::active(self.info, self.target, &part, object) {
                Ok(active) => active,
                Err(absent) => return Ok(value.without(absent)),
            };
            value.value = Some(active.name.clone().unwrap_or_default());
            let inner = match (active.at, shape(self.info, active.of)?) {
                (FieldAt::Bytes(offset), Shape::Struct { die, .. }) => Some((die, offset)),
                _ => None,
            };
            let (inner, offset) =
                inner.ok_or_else(|| Absent::unsupported("a variant that is no structure"))?;
            self.members(&mut value, inner, &object.at(offset), way)?;
            return Ok(value);
        }
        self.members(&mut value, die, object, way)?;
        Ok(value)
    }

    /// What a structure of a library stands for.
    fn contents(&self, die: DieRef, object: &Object) -> Result<Option<Contents<'a>>> {
        if self.limits.raw || self.plain.borrow().contains(&die) {
            return Ok(None);
        }
        let typed = Typed {
            of: Some(die),
            object: object.clone(),
        };
        let found = library::contents(&self.look, &typed)?;
        if found.is_none() {
            self.plain.borrow_mut().insert(die);
        }
        Ok(found)
    }
}

/// Whether a value says that there is no more to read behind it.
pub(super) fn stops(value: &Value) -> bool {
    let reason = value.absent.as_ref().map(|absent| absent.reason);
    matches!(reason, Some(Reason::Unreadable | Reason::Budget))
}
