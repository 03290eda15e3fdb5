use super::super::{Contents, Look, Typed, Walk};
use super::template::value_argument;
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::{Gathered, Object};
use crate::value::tree::Kind;

/// The most bits that are told of a `bitset`.
const MAX_BITS: u64 = 2048;

/// Bits one behind the other, as elements.
pub(in crate::value) struct Bits {
    pub(in crate::value) of: Option<DieRef>,
    /// Of the byte with the first bit.
    pub(in crate::value) at: u64,
    /// Of the next bit.
    pub(in crate::value) bit: u64,
    pub(in crate::value) left: u64,
}

impl<'a> Walk<'a> for Bits {
    type Item = Typed;

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<Typed>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        let byte = Object::Memory(self.at.wrapping_add(self.bit / 8));
        let [byte] = byte.array::<1>(look.target)?;
        let bit = byte >> (self.bit % 8) & 1;
        self.left = left;
        self.bit += 1;
        Ok(Some(Typed {
            of: self.of,
            object: Object::gathered(Gathered::of_bytes(&[bit])),
        }))
    }
}

/// A `bitset` whose words are at `words`: as it is written, the highest bit first.
pub(in crate::value) fn bitset<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    parameter: &str,
    words: Option<Typed>,
) -> Result<Option<Contents<'a>>> {
    let Some(bits) = value_argument(look, object.of, parameter)? else {
        return Ok(None);
    };
    let mut text = String::new();
    if bits > MAX_BITS {
        text.push('…');
    }
    let mut known = (u64::MAX, 0);
    for bit in (0..bits.min(MAX_BITS)).rev() {
        let Some(words) = &words else {
            return Ok(None);
        };
        if known.0 != bit / 8 {
            let [byte] = words.object.at(bit / 8).array::<1>(look.target)?;
            known = (bit / 8, byte);
        }
        text.push(if known.1 >> (bit % 8) & 1 == 1 {
            '1'
        } else {
            '0'
        });
    }
    Ok(Some(Contents::Scalar {
        kind: Kind::Struct,
        text,
    }))
}
