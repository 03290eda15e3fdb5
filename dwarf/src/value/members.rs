use super::evaluate::{self, Context, Result};
use super::fields::{Field, FieldAt};
use super::object::Object;
use super::reader::{Reader, Way};
use super::scalar;
use super::shape::{Shape, shape};
use super::tree::{Absent, Reason, Value};
use crate::image::Bytes;
use crate::info::DieRef;
use crate::unwind::FrameRegisters;

impl<'a> Reader<'_, 'a> {
    pub(super) fn members(
        &self,
        value: &mut Value,
        die: DieRef,
        object: &Object,
        way: Way<'_>,
    ) -> Result<()> {
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
                    .push(self.bits(&name, field.of, object, offset, size));
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

    /// A number that is not made of whole bytes, or does not begin with one.
    pub(super) fn bits(
        &self,
        name: &str,
        of: Option<DieRef>,
        object: &Object,
        offset: u64,
        size: u64,
    ) -> Value {
        let type_name = self.info.type_name(of);
        let read = || -> Result<Value> {
            let shape = shape(self.info, of)?;
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
            Err(absent) => Value::new(name, type_name.clone(), self.kind(of)).without(absent),
        }
    }

    /// The address of a member that an expression computes from that of its structure.
    fn computed(&self, expression: gimli::Expression<Bytes<'a>>, object: &Object) -> Result<u64> {
        let address = object.address();
        let address =
            address.ok_or_else(|| Absent::unsupported("a virtual base that is not in memory"))?;
        // No register is needed: what the object is part of is in memory.
        let registers = FrameRegisters::default();
        let context = Context::of_registers(self.target, 0, &registers);
        evaluate::address(&context, expression, Some(address))
    }
}
