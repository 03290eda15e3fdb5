use crate::compile::{Code, Computed, Key, Live, Piece, PieceAt, Stop, Storage};
use crate::info::{Die, DieRef};
use crate::layout::Absence;
use crate::value::{Object, Watched, WatchedKey};

/// A frame whose variables are asked for by a program that runs at once.
pub(super) struct Frozen<'w, 't, 'a> {
    watched: &'w Watched<'t, 'a>,
}

impl<'w, 't, 'a> Frozen<'w, 't, 'a> {
    pub(super) fn new(watched: &'w Watched<'t, 'a>) -> Frozen<'w, 't, 'a> {
        Frozen { watched }
    }

    fn stored(&self, object: &Object) -> Storage {
        match object {
            Object::Memory(address) => Storage::Memory(Code::constant(*address)),
            Object::Gathered { .. } => Storage::Pieces(pieces(object, self.watched)),
        }
    }
}

impl<'a> Live<'a> for Frozen<'_, '_, 'a> {
    fn storage(&self, die: &Die<'a>) -> Result<Storage, Stop> {
        let object = self.watched.object(die).map_err(super::run::stop)?;
        Ok(self.stored(&object))
    }

    fn register(&self, number: u8) -> Option<u64> {
        self.watched.register(number)
    }

    fn entry(&self, address: &Code, of: DieRef, key: &Key, pool: &[u8]) -> Result<Computed, Stop> {
        let word = |code| super::run::word(self.watched.target, code, pool);
        let container = Object::Memory(word(address)?);
        let wanted = match key {
            Key::Text(text) => WatchedKey::Text(text.clone()),
            Key::Char(letter) => WatchedKey::Word(u64::from(u32::from(*letter))),
            Key::Word(code) => WatchedKey::Word(word(code)?),
        };
        let found = self.watched.entry(of, &container, &wanted);
        let Some((of, object)) = found.map_err(super::run::stop)? else {
            return Err(Stop::Absent {
                reason: Absence::Undefined,
                detail: "it has no such key".to_owned(),
            });
        };
        let of = of.ok_or_else(|| Stop::unsupported("a value without a type"))?;
        let of = self.watched.info().type_at(of)?;
        Ok(Computed::stored(of, self.stored(&object)))
    }
}

/// What was put together from registers, as constants: each byte that is known.
fn pieces(object: &Object, watched: &Watched<'_, '_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for index in 0..object.len() {
        let mut byte = [0];
        let at = match object.at(index).read(watched.target, &mut byte) {
            Ok(()) => PieceAt::Word(Code::constant(u64::from(byte[0]))),
            Err(_) => PieceAt::Gone,
        };
        pieces.push(Piece { bytes: 1, at });
    }
    joined(&pieces)
}

/// The same in pieces of up to eight bytes.
fn joined(bytes: &[Piece]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for chunk in bytes.chunks(8) {
        let known: Option<Vec<u64>> = chunk.iter().map(|piece| piece.at.constant()).collect();
        match known {
            Some(known) => {
                let word = known
                    .iter()
                    .rev()
                    .fold(0, |word, byte| word << 8 | (byte & 0xff));
                pieces.push(Piece {
                    bytes: chunk.len() as u64,
                    at: PieceAt::Word(Code::constant(word)),
                });
            }
            None => pieces.extend_from_slice(chunk),
        }
    }
    pieces
}
