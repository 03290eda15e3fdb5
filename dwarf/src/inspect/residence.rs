use lr_probe::Op;

use super::formula;
use crate::compile::{Code, Piece, PieceAt, Scope, Storage};
use crate::info::Die;
use crate::layout::Absence;
use crate::types::{Shape, Type};

/// Where a variable lives at a place.
#[derive(Clone, PartialEq, Debug)]
pub enum Residence {
    /// The low bytes of a register: `rdi`, `xmm0`.
    Register(String),
    /// At an address, as a formula over registers: `rbp-24`, `*(rsp+8)`, `0x404028`.
    Memory(String),
    /// Nowhere: it is known to be this.
    Constant(String),
    /// Nowhere: it can be computed from registers and memory.
    Computed(String),
    /// In parts, in the order of its bytes.
    Pieces(Vec<PiecePlace>),
    /// It has no value here.
    Absent { reason: Absence, detail: String },
}

/// Some bytes of a variable and where they are; nowhere if the compiler dropped them.
#[derive(Clone, PartialEq, Debug)]
pub struct PiecePlace {
    pub bytes: u64,
    pub at: Option<Box<Residence>>,
}

impl Residence {
    /// The word for its kind in `lr explain`.
    pub fn word(&self) -> &'static str {
        match self {
            Residence::Register(_) => "register",
            Residence::Memory(_) => "memory",
            Residence::Constant(_) => "constant",
            Residence::Computed(_) => "computed",
            Residence::Pieces(_) => "pieces",
            Residence::Absent { .. } => "absent",
        }
    }

    /// What stands behind the word: `rbp-24`; for pieces, each of them: `rax, rdx`.
    pub fn text(&self) -> String {
        match self {
            Residence::Register(text)
            | Residence::Memory(text)
            | Residence::Constant(text)
            | Residence::Computed(text) => text.clone(),
            Residence::Pieces(pieces) => {
                let texts: Vec<String> = pieces.iter().map(PiecePlace::text).collect();
                texts.join(", ")
            }
            Residence::Absent { detail, .. } => detail.clone(),
        }
    }
}

impl PiecePlace {
    fn text(&self) -> String {
        match self.at.as_deref() {
            None => "gone".to_owned(),
            Some(Residence::Memory(text)) => format!("memory {text}"),
            Some(at) => at.text(),
        }
    }
}

/// Says what a variable's storage is.
pub(super) fn of_storage<'a>(scope: &Scope<'a>, die: &Die<'a>, storage: &Storage) -> Residence {
    let pieces = match storage {
        Storage::Memory(code) => return Residence::Memory(formula::of(code)),
        Storage::Pieces(pieces) => pieces,
    };
    let of = || {
        let of = scope.info.type_die_of(die.at).ok().flatten();
        of.and_then(|of| scope.info.type_at(of).ok())
    };
    let size = |of: &Type| scope.info.size(of).ok().flatten();
    if let Some(bytes) = constant_bytes(pieces) {
        let of = of();
        let size = of.as_ref().and_then(size);
        return Residence::Constant(constant(of.as_ref(), size, &bytes));
    }
    match pieces.as_slice() {
        [one] if one.at != PieceAt::Gone => of_piece(one),
        pieces => match whole_vector(pieces) {
            Some(register) => {
                let size = of().as_ref().and_then(size).unwrap_or(0);
                Residence::Register(format!("{}{register}", vector_name(size)))
            }
            None => in_pieces(pieces),
        },
    }
}

/// The register of vectors of which these are the lanes, from the lowest on.
fn whole_vector(pieces: &[Piece]) -> Option<u8> {
    let (register, _) = pieces.first()?.vector_lane()?;
    for (piece, lane) in pieces.iter().zip(0..) {
        if piece.vector_lane()? != (register, lane) {
            return None;
        }
    }
    Some(register)
}

/// What a register of vectors is called where so many of its bytes count.
fn vector_name(size: u64) -> &'static str {
    match size {
        ..=16 => "xmm",
        17..=32 => "ymm",
        _ => "zmm",
    }
}

fn in_pieces(pieces: &[Piece]) -> Residence {
    let place = |piece: &Piece| PiecePlace {
        bytes: piece.bytes,
        at: match piece.at {
            PieceAt::Gone => None,
            _ => Some(Box::new(of_piece(piece))),
        },
    };
    Residence::Pieces(pieces.iter().map(place).collect())
}

fn of_piece(piece: &Piece) -> Residence {
    match &piece.at {
        PieceAt::Memory(code) => Residence::Memory(formula::of(code)),
        PieceAt::Gone => Residence::Pieces(Vec::new()),
        PieceAt::Word(code) => match code.ops() {
            [Op::Reg(register)] => Residence::Register(formula::register(*register).to_owned()),
            [Op::Vector { register, lane: 0 }] => Residence::Register(formula::vector(*register)),
            [Op::Const(value)] => Residence::Constant(formula::number(*value)),
            _ => Residence::Computed(formula::of(code)),
        },
    }
}

/// The bytes of a value of which every piece is a constant.
fn constant_bytes(pieces: &[Piece]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for piece in pieces {
        let PieceAt::Word(code) = &piece.at else {
            return None;
        };
        let word = value_of(code)?.to_le_bytes();
        bytes.extend_from_slice(word.get(..usize::try_from(piece.bytes).ok()?)?);
    }
    (!bytes.is_empty()).then_some(bytes)
}

fn value_of(code: &Code) -> Option<u64> {
    match code.ops() {
        [Op::Const(value)] => Some(*value),
        [Op::Const(value), Op::Extend { bits, signed }] => Some(extended(*value, *bits, *signed)),
        _ => None,
    }
}

fn extended(value: u64, bits: u8, signed: bool) -> u64 {
    let unused = 64 - u32::from(bits.clamp(1, 64));
    let shifted = value << unused;
    match signed {
        true => (shifted.cast_signed() >> unused).cast_unsigned(),
        false => shifted >> unused,
    }
}

/// A constant as its type writes it.
fn constant(of: Option<&Type>, size: Option<u64>, bytes: &[u8]) -> String {
    let mut word = [0; 8];
    let len = bytes.len().min(8);
    word[..len].copy_from_slice(&bytes[..len]);
    let value = u64::from_le_bytes(word);
    let int = |bytes: u8, signed: bool| {
        let value = extended(value, bytes.saturating_mul(8), signed);
        match signed {
            true => value.cast_signed().to_string(),
            false => value.to_string(),
        }
    };
    match of.map(|of| &of.shape) {
        Some(Shape::Int { bytes, signed } | Shape::Enum { bytes, signed, .. }) => {
            int(*bytes, *signed)
        }
        Some(Shape::Bool { bytes }) => match int(*bytes, false).as_str() {
            "0" => "false".to_owned(),
            "1" => "true".to_owned(),
            other => other.to_owned(),
        },
        Some(Shape::Char { bytes: 1, .. }) => match u8::try_from(value & 0xff) {
            Ok(byte) if byte.is_ascii_graphic() => format!("'{}'", char::from(byte)),
            _ => int(1, false),
        },
        Some(Shape::Char { bytes, .. }) => int(*bytes, false),
        Some(Shape::Float { bytes: 4 }) => {
            let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
            f32::from_bits(low).to_string()
        }
        Some(Shape::Float { .. }) => f64::from_bits(value).to_string(),
        Some(Shape::Pointer { .. }) => format!("{value:#x}"),
        _ if bytes.len() <= 8 => formula::number(value),
        _ => {
            let count = size.unwrap_or(bytes.len() as u64);
            format!("of {count} bytes")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: Shape, bytes: &[u8], expected: &str) {
        let of = Type::named("t", shape);
        assert_eq!(constant(Some(&of), None, bytes), expected);
    }

    #[test]
    fn constants_are_written_as_their_type_is() {
        let int = |bytes, signed| Shape::Int { bytes, signed };
        check(int(4, true), &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], "-1");
        check(int(4, false), &[0xff, 0xff, 0xff, 0xff], "4294967295");
        check(int(8, true), &[5, 0, 0, 0, 0, 0, 0, 0], "5");
        check(Shape::Bool { bytes: 1 }, &[1], "true");
        check(Shape::Float { bytes: 8 }, &1.5f64.to_le_bytes(), "1.5");
        check(Shape::Float { bytes: 4 }, &1.5f32.to_le_bytes(), "1.5");
        let letter = Shape::Char {
            bytes: 1,
            signed: true,
        };
        check(letter, b"x", "'x'");
        check(Shape::Other, &[0; 16], "of 16 bytes");
    }
}
