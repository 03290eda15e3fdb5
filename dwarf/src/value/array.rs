use super::evaluate::Result;
use super::object::Object;
use super::reader::{Reader, Way, stops};
use super::shape::{Shape, shape, size};
use super::text;
use super::tree::{Absent, Kind, Reason, Value};
use crate::info::DieRef;

impl Reader<'_, '_> {
    pub(super) fn array(
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
}
