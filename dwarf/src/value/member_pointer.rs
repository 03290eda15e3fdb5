use super::evaluate::Result;
use super::fields::{Field, FieldAt};
use super::object::Object;
use super::reader::Reader;
use super::shape::{Shape, shape};
use super::tree::Value;
use crate::info::{Die, DieRef};

/// How deep bases are nested that a member is looked for in.
const MAX_NESTING: usize = 8;

impl<'a> Reader<'_, 'a> {
    /// A pointer to a member of a class (Itanium C++ ABI, 2.3).
    pub(super) fn member_pointer(
        &self,
        value: Value,
        to: Option<DieRef>,
        class: Option<DieRef>,
        object: &Object,
    ) -> Result<Value> {
        let word = u64::from_le_bytes(object.array(self.target)?);
        if shape(self.info, to)? != Shape::Function {
            return Ok(match word.cast_signed() {
                -1 => value.with("null"),
                offset => {
                    let name = self.member_at(class, word, to, 0)?;
                    let name = name.map(|name| format!(" <{name}>")).unwrap_or_default();
                    value.with(format!("offset {offset}{name}"))
                }
            });
        }
        let adjustment = u64::from_le_bytes(object.at(8).array(self.target)?).cast_signed();
        let mut text = match (word, word % 2) {
            (0, _) => return Ok(value.with("null")),
            // Vtables begin with slot 0, eight bytes each.
            (_, 1) => {
                let slot = (word - 1) / 8;
                let name = self.virtual_function(class, slot, adjustment, 0)?;
                let name = name.map(|name| format!(" <{name}>")).unwrap_or_default();
                format!("virtual function {slot}{name}")
            }
            (_, _) => self.code(word),
        };
        if adjustment != 0 {
            text.push_str(&format!(", this {adjustment:+}"));
        }
        Ok(value.with(text))
    }

    /// The member of a type at an offset in a class or its bases.
    fn member_at(
        &self,
        class: Option<DieRef>,
        offset: u64,
        of: Option<DieRef>,
        depth: usize,
    ) -> Result<Option<String>> {
        let (Some(class), true) = (self.look.structure(class)?, depth < MAX_NESTING) else {
            return Ok(None);
        };
        // Its members are those of the class around it.
        let is_anonymous = self.info.own_name(&self.info.die(class)?).is_none();
        let fields = self.look.fields_of(class)?;
        let wanted = self.info.type_name(of);
        let is_it = |field: &&Field<'a>| {
            let is_at = matches!(field.at, FieldAt::Bytes(at) if at == offset);
            is_at && !field.is_base && self.info.type_name(field.of) == wanted
        };
        if let Some(name) = fields
            .iter()
            .find(is_it)
            .and_then(|field| field.name.clone())
        {
            return Ok(Some(match is_anonymous {
                true => name,
                false => format!("{}::{name}", self.info.qualified_name(class)?),
            }));
        }
        for field in fields
            .iter()
            .filter(|field| field.is_base || field.name.is_none())
        {
            let FieldAt::Bytes(at) = field.at else {
                continue;
            };
            if let Some(inside) = offset.checked_sub(at)
                && let Some(name) = self.member_at(field.of, inside, of, depth + 1)?
            {
                return Ok(Some(match field.is_base || is_anonymous {
                    true => name,
                    false => format!("{}::{name}", self.info.qualified_name(class)?),
                }));
            }
        }
        Ok(None)
    }

    /// The function in a slot of the table that a class begins with, or one of its bases at an
    /// offset.
    fn virtual_function(
        &self,
        class: Option<DieRef>,
        slot: u64,
        at: i64,
        depth: usize,
    ) -> Result<Option<String>> {
        let (Some(class), true) = (self.look.structure(class)?, depth < MAX_NESTING) else {
            return Ok(None);
        };
        for die in self.info.children(class)?.iter().filter(|_| at == 0) {
            if die.tag() == gimli::DW_TAG_subprogram && self.slot(die)? == Some(slot) {
                return Ok(Some(self.info.qualified_name(die.at)?));
            }
        }
        for field in self
            .look
            .fields_of(class)?
            .iter()
            .filter(|field| field.is_base)
        {
            let FieldAt::Bytes(begin) = field.at else {
                continue;
            };
            let inside = at.checked_sub_unsigned(begin).filter(|&inside| inside >= 0);
            if let Some(inside) = inside
                && let Some(name) = self.virtual_function(field.of, slot, inside, depth + 1)?
            {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// `DW_AT_vtable_elem_location`: gcc and clang tell the slot itself, as a constant.
    fn slot(&self, die: &Die<'a>) -> Result<Option<u64>> {
        let location = die.attr(gimli::DW_AT_vtable_elem_location);
        let Some(gimli::AttributeValue::Exprloc(expression)) = location else {
            return Ok(None);
        };
        let encoding = self.info.unit(die.at.unit)?.encoding();
        let mut operations = expression.operations(encoding);
        Ok(match operations.next()? {
            Some(gimli::Operation::UnsignedConstant { value }) => Some(value),
            Some(gimli::Operation::SignedConstant { value }) => u64::try_from(value).ok(),
            _ => None,
        })
    }
}
