use lr_probe::{Op, Width};

use super::code::Code;
use super::elements::{Elements, Spread};
use super::scope::Scope;
use super::stop::{Result, Stop};
use super::storage::{Piece, PieceAt, Storage};
use crate::info::Language;
use crate::types::{Bits, MemberLookup, Shape, Target, Type};

/// How many references are followed in a row.
pub(crate) const MAX_REFERENCES: usize = 8;

/// What an expression stands for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Value {
    pub(crate) of: Type,
    pub(crate) at: At,
    /// A literal that takes the type of what it meets.
    pub(crate) untyped: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum At {
    Stored(Storage),
    /// Code that pushes a scalar: integers extended to 64 bits by their sign, floats as doubles.
    Word(Code),
    /// A part of a sequence.
    Elements(Box<Elements>),
    /// The same of one whose elements do not lie one behind the other.
    Spread(Box<Spread>),
}

impl Value {
    pub(crate) fn elements(elements: Elements) -> Value {
        Value {
            of: part_of(&elements.element),
            at: At::Elements(Box::new(elements)),
            untyped: false,
        }
    }

    pub(crate) fn spread(element: &Type, spread: Spread) -> Value {
        Value {
            of: part_of(element),
            at: At::Spread(Box::new(spread)),
            untyped: false,
        }
    }

    pub(crate) fn word(of: Type, code: Code) -> Value {
        Value {
            of,
            at: At::Word(code),
            untyped: false,
        }
    }

    pub(crate) fn stored(of: Type, storage: Storage) -> Value {
        Value {
            of,
            at: At::Stored(storage),
            untyped: false,
        }
    }

    pub(crate) fn memory(of: Type, address: Code) -> Value {
        Value::stored(of, Storage::Memory(address))
    }
}

impl Scope<'_> {
    /// Follows references: what they refer to is what is meant.
    pub(crate) fn read(&self, value: Value) -> Result<Value> {
        let mut value = value;
        for _ in 0..MAX_REFERENCES {
            let Shape::Pointer {
                target,
                reference: true,
            } = &value.of.shape
            else {
                return Ok(value);
            };
            let of = self.info.target(target)?;
            let address = self.word(&value)?;
            value = Value::memory(of, address);
        }
        Err(Stop::unsupported("a reference to a reference, too often"))
    }

    /// Code that pushes a scalar.
    pub(crate) fn word(&self, value: &Value) -> Result<Code> {
        let storage = match &value.at {
            At::Word(code) => return Ok(code.clone()),
            At::Elements(_) | At::Spread(_) => {
                return Err(Stop::unsupported(value.of.name.clone()));
            }
            At::Stored(storage) => storage,
        };
        let (bytes, signed) = match value.of.shape {
            Shape::Int { bytes, signed }
            | Shape::Char { bytes, signed }
            | Shape::Enum { bytes, signed, .. } => (bytes, signed),
            Shape::Bool { bytes } | Shape::Float { bytes } => (bytes, false),
            Shape::Pointer { .. } => (8, false),
            Shape::Array { .. } | Shape::Struct { .. } | Shape::Other => {
                return Err(Stop::unsupported(value.of.name.clone()));
            }
        };
        let code = match storage {
            Storage::Memory(address) => load(address.clone(), bytes, signed)?,
            Storage::Pieces(pieces) => from_pieces(pieces, bytes, signed)?,
        };
        Ok(match value.of.shape {
            Shape::Float { bytes: 4 } => code.then(Op::F32ToF64),
            _ => code,
        })
    }

    /// `value.name`; pointers on the way are followed, those that are objects too. What an owner or
    /// a wrapper leads to is meant before what it is made of.
    pub(crate) fn member(&self, column: usize, value: Value, name: &str) -> Result<Value> {
        let mut chain = vec![self.followed(value)?];
        while chain.len() <= MAX_REFERENCES
            && let Some(last) = chain.last()
            && let Some(inner) = self.through(last)?
        {
            chain.push(self.followed(inner)?);
        }
        let mut refused = None;
        while let Some(value) = chain.pop() {
            match self.own_member(column, value, name) {
                Err(stop @ Stop::Refused { .. }) => refused = refused.or(Some(stop)),
                found => return found,
            }
        }
        Err(refused.unwrap_or_else(|| Stop::unsupported("a member of nothing")))
    }

    /// Behind all pointers and references.
    fn followed(&self, value: Value) -> Result<Value> {
        let mut value = value;
        for _ in 0..MAX_REFERENCES {
            let Shape::Pointer { target, .. } = &value.of.shape else {
                break;
            };
            let of = self.info.target(target)?;
            value = Value::memory(of, self.word(&value)?);
        }
        Ok(value)
    }

    fn own_member(&self, column: usize, value: Value, name: &str) -> Result<Value> {
        if let Some(payload) = self.payload(&value, name)? {
            return Ok(payload);
        }
        if let Some(held) = self.alternative(column, &value, name)? {
            return Ok(held);
        }
        let Shape::Struct { die, bytes } = value.of.shape else {
            let found = format!("`{}`", value.of.name);
            let expected = match (crate::error::meant_function(name), &value.of.shape) {
                (Some(hint), Shape::Array { .. }) => format!("something with members ({hint})"),
                _ => "something with members".to_owned(),
            };
            return Err(Stop::types(column, expected, found));
        };
        if bytes == 0 && self.info.die(die)?.flag(gimli::DW_AT_declaration) {
            let name = &value.of.name;
            return Err(Stop::unsupported(format!(
                "{name} is only declared in the debug info"
            )));
        }
        let member = match self.info.member(die, name)? {
            MemberLookup::Found(member) => member,
            MemberLookup::Unsupported(why) => return Err(Stop::unsupported(why)),
            MemberLookup::Missing => {
                return Err(Stop::Refused {
                    column,
                    kind: crate::error::CompileErrorKind::UnknownMember {
                        type_name: value.of.name.clone(),
                        name: name.to_owned(),
                        members: self.member_names(&value)?,
                    },
                });
            }
        };
        let At::Stored(storage) = value.at else {
            return Err(Stop::unsupported(value.of.name));
        };
        if let Some(bits) = member.bits {
            return bit_field(member.of, storage, bits);
        }
        self.inside(&storage, member.offset, member.of)
    }

    fn member_names(&self, value: &Value) -> Result<Vec<String>> {
        let mut names = Vec::new();
        if let Ok(Some(variants)) = self.variants_of(value) {
            names.extend(variants.cases.into_iter().map(|case| case.name));
        }
        if let Shape::Struct { die, .. } = value.of.shape {
            names.extend(self.info.member_names(die)?);
        }
        names.truncate(40);
        Ok(names)
    }

    /// A part of a stored value.
    pub(crate) fn inside(&self, storage: &Storage, offset: u64, of: Type) -> Result<Value> {
        let storage = match storage {
            Storage::Memory(address) => Storage::Memory(address.clone().plus(offset)),
            Storage::Pieces(pieces) => {
                let size = self.info.size(&of)?.unwrap_or(0);
                Storage::Pieces(slice(pieces, offset, size)?)
            }
        };
        Ok(Value::stored(of, storage))
    }

    /// A number without sign at an offset of a stored value.
    pub(crate) fn number_at(&self, value: &Value, offset: u64, bytes: u8) -> Result<Code> {
        match &value.at {
            At::Stored(Storage::Memory(address)) => {
                load(address.clone().plus(offset), bytes, false)
            }
            At::Stored(Storage::Pieces(pieces)) => {
                from_pieces(&slice(pieces, offset, u64::from(bytes))?, bytes, false)
            }
            At::Word(_) | At::Elements(_) | At::Spread(_) => {
                Err(Stop::unsupported(value.of.name.clone()))
            }
        }
    }

    /// The address of a value in memory, and a pointer to it as its type.
    pub(crate) fn address_of(&self, value: Value) -> Result<Value> {
        let name = match self.language {
            Language::Rust => format!("*const {}", value.of.name),
            _ if value.of.name.ends_with('*') => format!("{}*", value.of.name),
            _ => format!("{} *", value.of.name),
        };
        match value.at {
            At::Stored(Storage::Memory(address)) => {
                let of = Type::named(
                    &name,
                    Shape::Pointer {
                        target: Target::Type(Box::new(value.of)),
                        reference: false,
                    },
                );
                Ok(Value::word(of, address))
            }
            _ => Err(Stop::unsupported(
                "it is not in memory here, so it has no address",
            )),
        }
    }

    /// An array as a pointer to its first element, as C takes it; anything else as it is.
    pub(crate) fn decay(&self, value: Value) -> Result<Value> {
        let Shape::Array { element, counts } = &value.of.shape else {
            return Ok(value);
        };
        let At::Stored(Storage::Memory(address)) = &value.at else {
            return Err(Stop::unsupported("an array that is not in memory here"));
        };
        let element = inner_array(&self.info.target(element)?, element, counts);
        let name = format!("{} *", element.name);
        let shape = Shape::Pointer {
            target: Target::Type(Box::new(element)),
            reference: false,
        };
        Ok(Value::word(Type::named(&name, shape), address.clone()))
    }
}

/// The type of a part of a sequence.
fn part_of(element: &Type) -> Type {
    let shape = Shape::Array {
        element: Target::Type(Box::new(element.clone())),
        counts: vec![None],
    };
    Type::named(&format!("[{}]", element.name), shape)
}

/// What an array holds: its elements, or arrays of one dimension less.
pub(crate) fn inner_array(element: &Type, target: &Target, counts: &[Option<u64>]) -> Type {
    match counts.get(1..) {
        Some(rest) if !rest.is_empty() => {
            let mut name = element.name.clone();
            for count in rest {
                let count = count.map(|count| count.to_string()).unwrap_or_default();
                name.push_str(&format!("[{count}]"));
            }
            Type {
                name,
                shape: Shape::Array {
                    element: target.clone(),
                    counts: rest.to_vec(),
                },
                at: None,
            }
        }
        _ => element.clone(),
    }
}

pub(crate) fn load(address: Code, bytes: u8, signed: bool) -> Result<Code> {
    let width = Width::from_bytes(u64::from(bytes));
    let width = width.ok_or_else(|| Stop::unsupported(format!("a value of {bytes} bytes")))?;
    Ok(address.then(Op::Load { width, signed }))
}

/// A bit-field's bits, from the fewest bytes that hold them.
fn bit_field(of: Type, storage: Storage, bits: Bits) -> Result<Value> {
    let (first, shift) = (bits.offset / 8, bits.offset % 8);
    let needed = (shift + u64::from(bits.size)).div_ceil(8);
    let bytes = match needed {
        1 => 1,
        2 => 2,
        3..=4 => 4,
        5..=8 => 8,
        _ => return Err(Stop::unsupported("a bit-field over nine bytes")),
    };
    let word = match storage {
        Storage::Memory(address) => load(address.plus(first), bytes, false)?,
        Storage::Pieces(pieces) => from_pieces(&slice(&pieces, first, needed)?, 8, false)?,
    };
    let signed = matches!(
        of.shape,
        Shape::Int { signed: true, .. } | Shape::Enum { signed: true, .. }
    );
    let word = match shift {
        0 => word,
        shift => word.then(Op::Const(shift)).then(Op::Shr),
    };
    let word = word.then(Op::Extend {
        bits: bits.size,
        signed,
    });
    let mut of = of;
    // What `int` holds is computed as one (C17 6.3.1.1), whatever the declared type is.
    if let (Shape::Int { .. }, ..32) = (&of.shape, bits.size) {
        of.shape = Shape::Int {
            bytes: 4,
            signed: true,
        };
    }
    Ok(Value::word(of, word))
}

/// The pieces of a part of a value.
pub(crate) fn slice(pieces: &[Piece], offset: u64, size: u64) -> Result<Vec<Piece>> {
    let mut part = Vec::new();
    let mut begin = 0u64;
    let end = offset.saturating_add(size);
    for piece in pieces {
        let piece_end = begin.saturating_add(piece.bytes);
        let (from, to) = (begin.max(offset), piece_end.min(end));
        if from < to {
            let skip = from - begin;
            let at = match &piece.at {
                PieceAt::Gone => PieceAt::Gone,
                PieceAt::Memory(address) => PieceAt::Memory(address.clone().plus(skip)),
                PieceAt::Word(code) if skip == 0 => PieceAt::Word(code.clone()),
                PieceAt::Word(code) => {
                    PieceAt::Word(code.clone().then(Op::Const(skip * 8)).then(Op::Shr))
                }
            };
            part.push(Piece {
                bytes: to - from,
                at,
            });
        }
        begin = piece_end;
    }
    let told: u64 = part.iter().map(|piece| piece.bytes).sum();
    match told < size {
        true => Err(Stop::optimized_out("only a part of it is told")),
        false => Ok(part),
    }
}

/// A scalar out of its pieces, low bytes first.
fn from_pieces(pieces: &[Piece], bytes: u8, signed: bool) -> Result<Code> {
    let mut done = 0u64;
    let mut whole: Option<Code> = None;
    for piece in pieces {
        let wanted = u64::from(bytes).saturating_sub(done).min(piece.bytes);
        if wanted == 0 {
            continue;
        }
        let count = u8::try_from(wanted).expect("at most the scalar's bytes");
        if count > 8 || bytes > 8 {
            return Err(Stop::unsupported(format!("a value of {bytes} bytes")));
        }
        let part = match &piece.at {
            PieceAt::Gone => return Err(Stop::optimized_out("a part of it has no place here")),
            PieceAt::Memory(address) => load(address.clone(), count, false)?,
            PieceAt::Word(code) => code.clone().extend(count, false),
        };
        whole = Some(match whole {
            None => part,
            Some(low) => low
                .append(part)
                .then(Op::Const(done * 8))
                .then(Op::Shl)
                .then(Op::Or),
        });
        done += wanted;
    }
    match whole {
        Some(code) if done >= u64::from(bytes) => Ok(code.extend(bytes, signed)),
        _ => Err(Stop::optimized_out("only a part of it is told")),
    }
}
