//! What types and pointers refer to in their frame: the length of an array, a variable that has no
//! address.

use super::constant;
use super::evaluate::{self, Context, Result};
use super::object::Object;
use super::scalar;
use super::shape::{Shape, shape, size};
use super::tree::Absent;
use crate::info::{Die, DieRef};

/// The frame that a variable is of.
#[derive(Clone)]
pub(super) struct Surroundings<'t, 'a> {
    pub(super) context: Context<'t, 'a>,
    /// The function or inlined instance, and the blocks in it around the address.
    pub(super) scopes: Vec<DieRef>,
}

impl<'a> Surroundings<'_, 'a> {
    /// The object of a variable that debug info refers to.
    pub(super) fn object(&self, at: DieRef) -> Result<Object> {
        let info = &self.context.frame()?.info;
        let at = self.instance(at)?;
        let of = info.type_die_of(at)?;
        let bytes = size(info, of)?;
        let origins = info.origins(at)?;
        for die in &origins {
            let context = self.context.within(die.at.unit);
            if let Some(location) = context.location(die, gimli::DW_AT_location)? {
                // A location that leads to another one, and so on, ends somewhere.
                return evaluate::object(&context.nested()?, location, bytes);
            }
        }
        let constant = origins
            .iter()
            .find_map(|die| Some((die, die.attr(gimli::DW_AT_const_value)?)));
        match constant {
            Some((die, value)) => constant::object(info, die, value),
            None => Err(Absent::optimized_out("it has no value at this address")),
        }
    }

    /// The entry of a variable in this instance of its function: types are those of the abstract
    /// instance, and refer to its variables.
    fn instance(&self, at: DieRef) -> Result<DieRef> {
        let info = &self.context.frame()?.info;
        let die = info.die(at)?;
        if die.attr(gimli::DW_AT_location).is_some() {
            return Ok(at);
        }
        for &scope in &self.scopes {
            for child in info.children(scope)? {
                if info.follow(&child, gimli::DW_AT_abstract_origin) == Some(at) {
                    return Ok(child.at);
                }
            }
        }
        Ok(at)
    }

    /// A number that an attribute tells as an expression, or by the variable that has it.
    pub(super) fn number(&self, die: &Die<'a>, name: gimli::DwAt) -> Result<i64> {
        let info = &self.context.frame()?.info;
        if let Some(at) = info.follow(die, name) {
            return self.variable(at);
        }
        let context = self.context.within(die.at.unit);
        let expression = context.location(die, name)?;
        let expression =
            expression.ok_or_else(|| Absent::optimized_out("its length is not told here"))?;
        let number = evaluate::address(&context.nested()?, expression, None)?;
        Ok(number.cast_signed())
    }

    fn variable(&self, at: DieRef) -> Result<i64> {
        let info = &self.context.frame()?.info;
        let object = self.object(at)?;
        let shape = shape(info, info.type_die_of(at)?)?;
        let Shape::Base {
            encoding, bytes, ..
        } = shape
        else {
            return Err(Absent::unsupported("a length that is no number"));
        };
        let bits = bytes.saturating_mul(8);
        let word = object.bits(self.context.target, 0, bits)?;
        let number = match encoding {
            gimli::DW_ATE_signed => i64::try_from(scalar::signed(word, bits)).ok(),
            // The last index of no elements is -1, whatever the type of indexes.
            _ if bits == 64 => u64::try_from(word).ok().map(u64::cast_signed),
            _ => i64::try_from(word).ok(),
        };
        number.ok_or_else(|| Absent::unsupported("a length that no memory has"))
    }
}
