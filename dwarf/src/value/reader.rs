use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use super::evaluate::{self, Context, Result};
use super::fields::{Field, FieldAt};
use super::library::{self, Contents, Look, Typed};
use super::limits::Limits;
use super::object::Object;
use super::shape::{Shape, shape, size};
use super::tree::{Absent, Kind, Reason, Value};
use super::{scalar, text, variant};
use crate::address::FileAddr;
use crate::info::{DieRef, Info};
use crate::target::Target;
use crate::unwind::FrameRegisters;

/// How many pointers are followed one after the other.
const MAX_FOLLOWED: usize = 1;

/// Makes trees of objects, by their types.
pub(super) struct Reader<'t, 'a> {
    target: &'t Target<'a>,
    info: &'t Rc<Info<'a>>,
    pub(super) look: Look<'t, 'a>,
    pub(super) limits: Limits,
    /// Values that the variable may still have.
    left: Cell<usize>,
    /// Structures that stand for nothing but themselves.
    plain: RefCell<HashSet<DieRef>>,
}

/// How far a value is from its variable.
#[derive(Clone, Copy)]
pub(super) struct Way<'w> {
    pub(super) depth: usize,
    followed: usize,
    /// The structures around it, by address and type.
    around: &'w [(u64, DieRef)],
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
            plain: RefCell::default(),
        }
    }

    /// The value of a variable.
    pub(super) fn value(&self, name: &str, of: Option<DieRef>, object: &Object) -> Value {
        self.left.set(self.limits.values);
        let way = Way {
            depth: 0,
            followed: 0,
            around: &[],
        };
        self.read(name, of, object, way)
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
            } => {
                let half = bytes / 2;
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
            } => {
                let bits = bytes.saturating_mul(8);
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
            Shape::MemberPointer(to) => self.member_pointer(value, *to, object),
            Shape::Array { element, counts } => self.array(value, *element, counts, object, way),
            Shape::Struct { bytes: None, .. } | Shape::Union { bytes: None, .. } => {
                Err(Absent::unsupported("the type is only declared"))
            }
            Shape::Struct { die, .. } => self.structure(value, *die, object, way),
            Shape::Union { die, .. } => {
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

    fn enumerator(
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

    fn pointer(
        &self,
        mut value: Value,
        to: Option<DieRef>,
        object: &Object,
        way: Way<'_>,
    ) -> Result<Value> {
        let address = u64::from_le_bytes(object.array(self.target)?);
        value.value = Some(format!("{address:#x}"));
        let shape = match to {
            Some(_) => shape(self.info, to)?,
            None => return Ok(value),
        };
        if shape == Shape::Function {
            value.kind = Kind::Function;
            value.value = Some(self.code(address));
            return Ok(value);
        }
        if address == 0 {
            return Ok(value);
        }
        self.pointee(value, to, &Object::Memory(address), way)
    }

    /// A pointer with what it points to.
    pub(super) fn pointee(
        &self,
        mut value: Value,
        to: Option<DieRef>,
        pointee: &Object,
        way: Way<'_>,
    ) -> Result<Value> {
        let shape = shape(self.info, to)?;
        let way = match way.followed() {
            Some(way) => way,
            // Text is what its pointer says to people.
            None if shape.kind() == Kind::Char => way,
            None => return Ok(value),
        };
        match &shape {
            Shape::Base { name, bytes: 1, .. } if name == "char" && shape.kind() == Kind::Char => {
                let text = Value::new("*", self.info.type_name(to), Kind::String);
                let text = text::up_to_nul(self.target, pointee, None, &self.limits, text);
                value.children.push(text);
            }
            Shape::Struct { .. } | Shape::Union { .. } => {
                let whole = self.read("*", to, pointee, way);
                if !matches!(whole.kind, Kind::Struct | Kind::Union) {
                    value.children.push(whole);
                    return Ok(value);
                }
                // A structure that is pointed to reads as its members.
                value.absent = whole.absent;
                value.children = whole.children;
            }
            Shape::Void | Shape::Other => {}
            _ => value.children.push(self.read("*", to, pointee, way)),
        }
        Ok(value)
    }

    /// An address of code, with its name where there is one.
    fn code(&self, address: u64) -> String {
        let symbol = self.target.module_at(address).and_then(|module| {
            let module = &self.target.modules()[module];
            let addr: FileAddr = module.file_addr(address);
            let symbol = module.binary.symbol_at(addr)?;
            let skip = addr.0.checked_sub(symbol.addr.0)?;
            Some(match skip {
                0 => symbol.name(),
                skip => format!("{}+{skip}", symbol.name()),
            })
        });
        match symbol {
            Some(name) => format!("{address:#x} <{name}>"),
            None => format!("{address:#x}"),
        }
    }

    /// Itanium C++ ABI, 2.3.
    fn member_pointer(&self, value: Value, to: Option<DieRef>, object: &Object) -> Result<Value> {
        let word = u64::from_le_bytes(object.array(self.target)?);
        if shape(self.info, to)? != Shape::Function {
            return Ok(match word.cast_signed() {
                -1 => value.with("null"),
                offset => value.with(format!("offset {offset}")),
            });
        }
        let adjustment = u64::from_le_bytes(object.at(8).array(self.target)?).cast_signed();
        let mut text = match (word, word % 2) {
            (0, _) => "null".to_owned(),
            (_, 1) => format!("virtual function {}", (word - 1) / 8),
            (_, _) => self.code(word),
        };
        if adjustment != 0 {
            text.push_str(&format!(", this {adjustment:+}"));
        }
        Ok(value.with(text))
    }

    fn array(
        &self,
        mut value: Value,
        element: Option<DieRef>,
        counts: &[Option<u64>],
        object: &Object,
        way: Way<'_>,
    ) -> Result<Value> {
        let (count, rest) = match counts.split_first() {
            Some((Some(count), rest)) => (*count, rest),
            _ => {
                return Err(Absent::new(
                    Reason::Length,
                    "debug info does not tell how many",
                ));
            }
        };
        let inner = shape(self.info, element)?;
        let is_char = matches!(&inner, Shape::Base { name, bytes: 1, .. } if name == "char");
        if rest.is_empty() && is_char && inner.kind() == Kind::Char {
            return Ok(text::up_to_nul(
                self.target,
                object,
                Some(count),
                &self.limits,
                value,
            ));
        }
        let mut stride = size(self.info, element)?;
        for count in rest {
            stride = stride
                .zip(*count)
                .and_then(|(stride, count)| stride.checked_mul(count));
        }
        let stride = stride.ok_or_else(|| Absent::unsupported("elements of unknown size"))?;
        if way.depth >= self.limits.depth {
            return Err(Absent::new(Reason::Depth, format!("{count} elements")));
        }
        let way = Way {
            depth: way.depth + 1,
            ..way
        };
        for index in 0..count.min(self.limits.items as u64) {
            let element_object = object.at(index.saturating_mul(stride));
            let name = index.to_string();
            let child = match rest {
                [] => self.read(&name, element, &element_object, way),
                rest => {
                    let type_name = value.type_name.clone();
                    let row = Value::new(&name, type_name, Kind::Array);
                    match self.array(row.clone(), element, rest, &element_object, way) {
                        Ok(row) => row,
                        Err(absent) => row.without(absent),
                    }
                }
            };
            let is_end = stops(&child);
            value.children.push(child);
            if is_end {
                return Ok(value);
            }
        }
        if count > self.limits.items as u64 {
            let detail = format!("first {} of {count}", self.limits.items);
            value.absent = Some(Absent::new(Reason::Length, detail));
        }
        Ok(value)
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

    fn members(&self, value: &mut Value, die: DieRef, object: &Object, way: Way<'_>) -> Result<()> {
        let fields = self.look.fields_of(die)?;
        if fields.is_empty() {
            return Ok(());
        }
        if way.depth >= self.limits.depth {
            value.absent = Some(Absent::new(
                Reason::Depth,
                format!("{} members", fields.len()),
            ));
            return Ok(());
        }
        let mut around = way.around.to_vec();
        if let Some(address) = object.address() {
            if around.contains(&(address, die)) {
                value.absent = Some(Absent::new(Reason::Cycle, "it is around itself"));
                return Ok(());
            }
            around.push((address, die));
        }
        let way = Way {
            depth: way.depth + 1,
            followed: way.followed,
            around: &around,
        };
        for field in fields.iter() {
            if value.children.len() >= self.limits.fields {
                let detail = format!("first {} of {}", self.limits.fields, fields.len());
                value.absent = Some(Absent::new(Reason::Length, detail));
                break;
            }
            self.member(value, field, object, way);
        }
        Ok(())
    }

    fn member(&self, value: &mut Value, field: &Field<'a>, object: &Object, way: Way<'_>) {
        let name = field.name.clone().unwrap_or_default();
        let found = match field.at {
            FieldAt::Bytes(offset) => Ok(object.at(offset)),
            FieldAt::Bits { offset, size } => {
                value
                    .children
                    .push(self.bits(&name, field, object, offset, size));
                return;
            }
            FieldAt::Computed(expression) => self.computed(expression, object).map(Object::Memory),
            FieldAt::Unknown => Err(Absent::unsupported("a member whose place is not told")),
        };
        let child = match found {
            Ok(found) => self.read(&name, field.of, &found, way),
            Err(absent) => {
                let type_name = self.info.type_name(field.of);
                Value::new(&name, type_name, self.kind(field.of)).without(absent)
            }
        };
        // The members of an anonymous member are those of the structure.
        match field.name.is_none() && !field.is_base && child.absent.is_none() {
            true => value.children.extend(child.children),
            false => value.children.push(child),
        }
    }

    fn bits(
        &self,
        name: &str,
        field: &Field<'a>,
        object: &Object,
        offset: u64,
        size: u64,
    ) -> Value {
        let type_name = self.info.type_name(field.of);
        let read = || -> Result<Value> {
            let shape = shape(self.info, field.of)?;
            let value = Value::new(name, type_name.clone(), shape.kind());
            let word = object.bits(self.target, offset, size)?;
            match shape {
                Shape::Base { encoding, name, .. } => {
                    Ok(value.with(scalar::base(encoding, &name, size, word)?))
                }
                Shape::Enum { die, signed, .. } => self.enumerator(value, die, size, signed, word),
                _ => Err(Absent::unsupported("a bit-field of an unusual type")),
            }
        };
        match read() {
            Ok(value) => value,
            Err(absent) => Value::new(name, type_name.clone(), self.kind(field.of)).without(absent),
        }
    }

    /// The address of a member that an expression computes from that of its structure.
    fn computed(
        &self,
        expression: gimli::Expression<crate::image::Bytes<'a>>,
        object: &Object,
    ) -> Result<u64> {
        let address = object.address();
        let address =
            address.ok_or_else(|| Absent::unsupported("a virtual base that is not in memory"))?;
        // No register is needed: what the object is part of is in memory.
        let registers = FrameRegisters::default();
        let context = Context::of_registers(self.target, 0, &registers);
        evaluate::address(&context, expression, Some(address))
    }
}

/// Whether a value says that there is no more to read behind it.
pub(super) fn stops(value: &Value) -> bool {
    let reason = value.absent.as_ref().map(|absent| absent.reason);
    matches!(reason, Some(Reason::Unreadable | Reason::Budget))
}
