use super::run;
use crate::compile::{
    At, Code, Computed, Elements, Evaluator, Named, PieceAt, Spread, Stop, Storage, Text,
    inner_array,
};
use crate::info::Die;
use crate::text::readable;
use crate::types::{Shape, Target as PointsTo, Type};
use crate::value::{Absent, Gathered, Kind, Object, Reason, Value, Watched};

/// What an expression stands for in a frame.
pub(super) enum Outcome<'a> {
    Variable(Die<'a>),
    Computed(Computed),
}

impl<'a> Outcome<'a> {
    pub(super) fn of_named(named: Named<'a>) -> Outcome<'a> {
        match named {
            Named::Variable(die) => Outcome::Variable(die),
            Named::Value(value) => Outcome::Computed(value),
        }
    }

    pub(super) fn tree(
        self,
        name: &str,
        watched: &Watched<'_, 'a>,
        evaluator: &Evaluator<'a, '_>,
    ) -> Result<Value, Stop> {
        match self {
            Outcome::Variable(die) => {
                let of = evaluator.scope.info.type_die_of(die.at)?;
                match watched.object(&die) {
                    Ok(object) => Ok(watched.tree(name, of, &object)),
                    Err(absent) => {
                        let type_name = evaluator.scope.info.type_name(of);
                        Ok(Value::new(name, type_name, Kind::Unknown).without(absent))
                    }
                }
            }
            Outcome::Computed(value) => Told { watched, evaluator }.tree(name, &value),
        }
    }
}

/// Makes trees of what expressions compute.
struct Told<'w, 't, 'a, 's> {
    watched: &'w Watched<'t, 'a>,
    evaluator: &'w Evaluator<'a, 's>,
}

impl Told<'_, '_, '_, '_> {
    fn tree(&self, name: &str, value: &Computed) -> Result<Value, Stop> {
        match &value.at {
            At::Word(code) => self.scalar(name, &value.of, self.word(code)?),
            At::Elements(elements) => self.elements(name, &value.of, elements),
            At::Spread(spread) => self.spread(name, &value.of, spread),
            At::Stored(Storage::Memory(address)) => {
                let address = self.word(address)?;
                self.object(name, &value.of, &Object::Memory(address))
            }
            At::Stored(Storage::Pieces(pieces)) => {
                let mut parts = Gathered::default();
                for piece in pieces {
                    let bits = piece.bytes.saturating_mul(8);
                    if !Gathered::may_hold(parts.len().saturating_add(bits)) {
                        return Err(Stop::unsupported("a value that is too large"));
                    }
                    let bytes = match &piece.at {
                        PieceAt::Word(code) => self.word(code)?.to_le_bytes().to_vec(),
                        PieceAt::Memory(address) => {
                            let len = usize::try_from(piece.bytes).unwrap_or(0);
                            let mut bytes = vec![0; len];
                            let object = Object::Memory(self.word(address)?);
                            object
                                .read(self.watched.target, &mut bytes)
                                .map_err(run::stop)?;
                            bytes
                        }
                        PieceAt::Gone => Vec::new(),
                    };
                    parts.push(&bytes, 0, bits);
                }
                self.object(name, &value.of, &Object::gathered(parts))
            }
        }
    }

    fn elements(&self, name: &str, of: &Type, elements: &Elements) -> Result<Value, Stop> {
        let first = self.word(&elements.first)?;
        let length = match &elements.length {
            Some(length) => self.word(length)?,
            None => return Err(Stop::unsupported("a length that is not told")),
        };
        if elements.text != Text::No {
            let value = Value::new(name, of.name.clone(), Kind::String);
            let ended = elements.text == Text::Ended;
            return Ok(self.watched.text(value, first, length, ended));
        }
        let element = PointsTo::Type(Box::new(elements.element.clone()));
        let counts = [Some(length)];
        let mut value = self.array(name, of, &element, &counts, &Object::Memory(first))?;
        value.kind = Kind::Sequence;
        Ok(value)
    }

    fn spread(&self, name: &str, of: &Type, spread: &Spread) -> Result<Value, Stop> {
        let mut value = Value::new(name, of.name.clone(), Kind::Sequence);
        let length = self.word(&spread.length)?;
        let shown = length.min(self.watched.limits.items as u64);
        for index in 0..shown {
            let scope = self.evaluator.scope;
            let element = scope.spread_element(spread, Code::constant(index))?;
            value
                .children
                .push(self.tree(&index.to_string(), &element)?);
        }
        if shown < length {
            let detail = format!("first {shown} of {length}");
            value.absent = Some(Absent::new(Reason::Length, detail));
        }
        Ok(value)
    }

    fn word(&self, code: &Code) -> Result<u64, Stop> {
        run::word(self.watched.target, code, &self.evaluator.pool)
    }

    fn object(&self, name: &str, of: &Type, object: &Object) -> Result<Value, Stop> {
        if of.at.is_some() {
            return Ok(self.watched.tree(name, of.at, object));
        }
        if let Shape::Array { element, counts } = &of.shape {
            return self.array(name, of, element, counts, object);
        }
        let size = self.evaluator.scope.info.size(of)?;
        let size = size.and_then(|size| usize::try_from(size).ok());
        let mut bytes = [0; 8];
        let Some(room) = size.and_then(|size| bytes.get_mut(..size)) else {
            return Err(Stop::unsupported(format!("a `{}`", of.name)));
        };
        object.read(self.watched.target, room).map_err(run::stop)?;
        let word = u64::from_le_bytes(bytes);
        let word = match of.shape {
            Shape::Float { bytes: 4 } => f64::from(f32::from_bits(low32(word))).to_bits(),
            Shape::Int {
                bytes,
                signed: true,
            } => sign_extended(word, bytes),
            _ => word,
        };
        self.scalar(name, of, word)
    }

    /// An array of which debug info has no entry of its own: a row of a matrix.
    fn array(
        &self,
        name: &str,
        of: &Type,
        element: &PointsTo,
        counts: &[Option<u64>],
        object: &Object,
    ) -> Result<Value, Stop> {
        let info = &self.evaluator.scope.info;
        let element = inner_array(&info.target(element)?, element, counts);
        let mut value = Value::new(name, of.name.clone(), Kind::Array);
        let Some(count) = counts.first().copied().flatten() else {
            return Ok(value.without(Absent::unsupported("its length is not told")));
        };
        let Some(size) = info.size(&element)? else {
            return Ok(value.without(Absent::unsupported("elements of unknown size")));
        };
        let shown = count.min(self.watched.limits.items as u64);
        for index in 0..shown {
            let at = object.at(index.saturating_mul(size));
            let child = self.object(&index.to_string(), &element, &at)?;
            let is_end = child.absent.is_some() && child.children.is_empty();
            value.children.push(child);
            if is_end {
                return Ok(value);
            }
        }
        if shown < count {
            let detail = format!("first {shown} of {count}");
            value.absent = Some(Absent::new(Reason::Length, detail));
        }
        Ok(value)
    }

    fn scalar(&self, name: &str, of: &Type, word: u64) -> Result<Value, Stop> {
        let type_name = of.name.clone();
        if of.at.is_some() {
            let size = self.evaluator.scope.info.size(of)?;
            let size = usize::try_from(size.unwrap_or(8)).unwrap_or(8).min(8);
            let word = match of.shape {
                Shape::Float { bytes: 4 } => u64::from(single(word).to_bits()),
                _ => word,
            };
            let bytes = Gathered::of_bytes(&word.to_le_bytes()[..size]);
            let object = Object::gathered(bytes);
            return Ok(self.watched.tree(name, of.at, &object));
        }
        let new = |kind| Value::new(name, type_name.clone(), kind);
        Ok(match &of.shape {
            Shape::Int { signed: true, .. } => new(Kind::Int).with(word.cast_signed().to_string()),
            Shape::Int { .. } => new(Kind::Uint).with(word.to_string()),
            Shape::Bool { .. } => new(Kind::Bool).with((word != 0).to_string()),
            Shape::Float { bytes: 4 } => new(Kind::Float).with(format!("{:?}", single(word))),
            Shape::Float { .. } => new(Kind::Float).with(format!("{:?}", f64::from_bits(word))),
            Shape::Char { bytes: 1, .. } => {
                let byte = word.to_le_bytes()[0];
                new(Kind::Char).with(readable(&[byte], false))
            }
            Shape::Char { .. } => match u32::try_from(word).ok().and_then(char::from_u32) {
                Some(letter) => new(Kind::Char).with(letter.to_string()),
                None => new(Kind::Char).with(format!("{word:#x}")),
            },
            Shape::Pointer { target, .. } => {
                let to = match target {
                    PointsTo::Void => None,
                    PointsTo::Die(die) => Some(*die),
                    PointsTo::Type(of) => of.at,
                };
                self.watched.pointer(new(Kind::Pointer), to, word)
            }
            Shape::Enum { .. } | Shape::Array { .. } | Shape::Struct { .. } | Shape::Other => {
                return Err(Stop::unsupported(format!("a `{type_name}`")));
            }
        })
    }
}

fn low32(word: u64) -> u32 {
    u32::try_from(word & 0xffff_ffff).expect("masked to 32 bits")
}

fn sign_extended(word: u64, bytes: u8) -> u64 {
    let shift = 64 - 8 * u32::from(bytes.clamp(1, 8));
    (word.cast_signed() << shift >> shift).cast_unsigned()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the double was widened from a float"
)]
fn single(word: u64) -> f32 {
    f64::from_bits(word) as f32
}
