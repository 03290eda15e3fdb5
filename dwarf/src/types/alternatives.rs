use super::Type;
use super::variants::Discriminant;
use crate::info::{DieRef, Info, Language, Result};

/// What a `std::variant` may hold, all of it at one place.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Alternatives {
    /// Where the index of the one that it holds is.
    pub(crate) index: Discriminant,
    /// Bytes from the beginning of the structure.
    pub(crate) offset: u64,
    pub(crate) types: Vec<Type>,
}

/// The most that are looked at.
const MOST: usize = 256;

impl Info<'_> {
    /// The alternatives of a structure, if it is a `std::variant`.
    pub(crate) fn alternatives(&self, structure: DieRef) -> Result<Option<Alternatives>> {
        let is_variant = self.language(structure.unit) == Language::Cpp
            && self.library_name(structure)?.as_deref() == Some("variant");
        if !is_variant {
            return Ok(None);
        }
        for (index, place) in [
            (&["_M_index"][..], &["_M_u"][..]),
            (&["__impl_", "__index"], &["__impl_", "__data"]),
            (&["__impl", "__index"], &["__impl", "__data"]),
        ] {
            let (Some((at, of)), Some((offset, _))) = (
                self.at_path(structure, index)?,
                self.at_path(structure, place)?,
            ) else {
                continue;
            };
            let bytes = self.size(&of)?.and_then(|size| u8::try_from(size).ok());
            let Some(bytes) = bytes.filter(|bytes| matches!(bytes, 1 | 2 | 4 | 8)) else {
                continue;
            };
            return Ok(Some(Alternatives {
                index: Discriminant { offset: at, bytes },
                offset,
                types: self.pack(structure)?,
            }));
        }
        Ok(None)
    }

    /// The types that a template was made for by its parameter pack.
    fn pack(&self, structure: DieRef) -> Result<Vec<Type>> {
        let children = self.children(structure)?;
        let pack = children
            .iter()
            .find(|die| die.tag() == gimli::DW_TAG_GNU_template_parameter_pack);
        let Some(pack) = pack else {
            return Ok(Vec::new());
        };
        let mut types = Vec::new();
        for die in self.children(pack.at)?.iter().take(MOST) {
            match self.follow(die, gimli::DW_AT_type) {
                Some(at) => types.push(self.type_at(at)?),
                None => break,
            }
        }
        Ok(types)
    }
}
