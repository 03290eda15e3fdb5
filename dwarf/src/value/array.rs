use super::dimension::{Dimension, dimensions};
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
        value: Value,
        array: DieRef,
        element: Option<DieRef>,
        object: &Object,
        way: Way<'_>,
    ) -> Result<Value> {
        let dimensions = dimensions(self.info, array, self.frame.as_ref())?;
        self.dimension(value, element, &dimensions, object, way)
    }

    /// The elements of the first dimension.
    fn dimension(
        &self,
        mut value: Value,
        element: Option<DieRef>,
        dimensions: &[Dimension],
        object: &Object,
        way: Way<'_>,
    ) -> Result<Value> {
        let Some((first, rest)) = dimensions.split_first() else {
            let detail = "debug info does not tell how many";
            return Err(Absent::new(Reason::Length, detail));
        };
        let count = first.count.clone()?;
        let stride = self.stride(element, dimensions)?;
        if !rest.is_empty() && !stride.is_multiple_of(8) {
            return Err(Absent::unsupported("rows that do not begin with a byte"));
        }
        if let ([], Some(unit)) = (rest, text::unit(&shape(self.info, element)?))
            && stride == unit.bits()
        {
            let (target, limits) = (self.target, &self.limits);
            return Ok(text::up_to_nul(
                target,
                object,
                unit,
                Some(count),
                limits,
                value,
            ));
        }
        if way.depth >= self.limits.depth {
            return Err(Absent::new(Reason::Depth, format!("{count} elements")));
        }
        let way = way.deeper();
        for index in 0..count.min(self.limits.items as u64) {
            let name = index.to_string();
            let at = index.saturating_mul(stride);
            let child = match rest {
                [] if !stride.is_multiple_of(8) => {
                    // There may be room between them.
                    let bytes = self.size_of(element)?;
                    let bits = bytes.map_or(stride, |bytes| stride.min(bytes.saturating_mul(8)));
                    self.bits(&name, element, object, at, bits)
                }
                [] => self.read(&name, element, &object.at(at / 8), way),
                rest => {
                    let type_name = value.type_name.clone();
                    let row = Value::new(&name, type_name, Kind::Array);
                    match self.dimension(row.clone(), element, rest, &object.at(at / 8), way) {
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

    /// From one element of the first dimension to the next, in bits.
    fn stride(&self, element: Option<DieRef>, dimensions: &[Dimension]) -> Result<u64> {
        let unknown = || Absent::unsupported("elements of unknown size");
        let (first, rest) = dimensions.split_first().ok_or_else(unknown)?;
        if let Some(stride) = first.stride {
            return Ok(stride);
        }
        match rest.first() {
            Some(next) => {
                let inner = self.stride(element, rest)?;
                inner.checked_mul(next.count.clone()?).ok_or_else(unknown)
            }
            None => {
                let bytes = self.size_of(element)?.ok_or_else(unknown)?;
                bytes.checked_mul(8).ok_or_else(unknown)
            }
        }
    }

    /// The size of a type, which may be that of a frame.
    fn size_of(&self, of: Option<DieRef>) -> Result<Option<u64>> {
        let Shape::Array { die, element, .. } = shape(self.info, of)? else {
            return size(self.info, of);
        };
        if let Some(bytes) = size(self.info, of)? {
            return Ok(Some(bytes));
        }
        let dimensions = dimensions(self.info, die, self.frame.as_ref())?;
        let Some(first) = dimensions.first() else {
            return Ok(None);
        };
        let stride = self.stride(element, &dimensions)?;
        Ok(stride
            .checked_mul(first.count.clone()?)
            .map(|bits| bits / 8))
    }
}
