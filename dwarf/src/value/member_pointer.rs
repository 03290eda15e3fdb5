use super::evaluate::Result;
use super::object::Object;
use super::reader::Reader;
use super::shape::{Shape, shape};
use super::tree::Value;
use crate::info::DieRef;

impl Reader<'_, '_> {
    /// Itanium C++ ABI, 2.3.
    pub(super) fn member_pointer(
        &self,
        value: Value,
        to: Option<DieRef>,
        object: &Object,
    ) -> Result<Value> {
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
}
