use super::evaluate::Result;
use super::object::{ImplicitPointer, Object};
use super::reader::{Reader, Way};
use super::shape::{Shape, shape};
use super::text;
use super::tree::{Absent, Kind, Value};
use crate::address::FileAddr;
use crate::info::DieRef;

impl Reader<'_, '_> {
    pub(super) fn pointer(
        &self,
        mut value: Value,
        to: Option<DieRef>,
        object: &Object,
        way: Way<'_>,
    ) -> Result<Value> {
        if let Some(pointer) = object.implicit_pointer() {
            return self.implicit(value, to, pointer, way);
        }
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
        // To rustc a `Box` is a pointer.
        let further = match value.type_name.starts_with("alloc::boxed::Box<") {
            true => way.owned(&self.limits),
            false => way.followed(),
        };
        self.pointee(value, to, &Object::Memory(address), way, further)
    }

    /// A pointer with what it points to, which is told as `further` says, where it does.
    pub(super) fn pointee(
        &self,
        mut value: Value,
        to: Option<DieRef>,
        pointee: &Object,
        way: Way<'_>,
        further: Option<Way<'_>>,
    ) -> Result<Value> {
        let shape = shape(self.info, to)?;
        let way = match further {
            Some(way) => way,
            // Text is what its pointer says to people.
            None if text::unit(&shape).is_some() => way,
            None => return Ok(value),
        };
        if let Some(unit) = text::unit(&shape) {
            let text = Value::new("*", self.info.type_name(to), Kind::String);
            let (target, limits) = (self.target, &self.limits);
            let text = text::up_to_nul(target, pointee, unit, None, limits, text);
            value.children.push(text);
            return Ok(value);
        }
        match &shape {
            Shape::Struct { .. } | Shape::Union { .. } => {
                let (whole, is_another) = self.pointed_to(to, pointee, way);
                if is_another || !matches!(whole.kind, Kind::Struct | Kind::Union) {
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

    /// A pointer that has no address, with what it points to.
    fn implicit(
        &self,
        value: Value,
        to: Option<DieRef>,
        pointer: ImplicitPointer,
        way: Way<'_>,
    ) -> Result<Value> {
        let gone = || Absent::optimized_out("it has no address, and neither has what it points to");
        let frame = self.frame.as_ref().ok_or_else(gone)?;
        let pointee = frame.object(pointer.to)?.at(pointer.offset.cast_unsigned());
        let mut value = self.pointee(value, to, &pointee, way, way.followed())?;
        if !value.children.is_empty() {
            let detail = "it has no address; what it points to is known";
            value.absent = value.absent.or(Some(Absent::optimized_out(detail)));
        } else if value.absent.is_none() {
            value.absent = Some(gone());
        }
        Ok(value)
    }

    /// An address of code, with its name where there is one.
    pub(super) fn code(&self, address: u64) -> String {
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
}
