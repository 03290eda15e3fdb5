use std::collections::HashSet;

use super::super::Walk;
use super::{Contents, Look, Typed, newtype};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Reason};

/// A `LinkedList`.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(head), Some(len)) = (
        look.member(object, "head")?,
        newtype::member(look, object, "len")?,
    ) else {
        return Ok(None);
    };
    let Some(node) = optional_target(look, &head)? else {
        return Ok(None);
    };
    let walk = Nodes {
        node,
        next: u64::from_le_bytes(head.object.array(look.target)?),
        seen: HashSet::new(),
    };
    Ok(Some(Contents::Sequence {
        len: Some(len),
        walk: Box::new(walk),
    }))
}

/// The type that an `Option<NonNull<T>>` leads to. The option itself is one word: null is `None`.
pub(super) fn optional_target(look: &Look<'_, '_>, object: &Typed) -> Result<Option<DieRef>> {
    match optional(look, object.of)? {
        Some(pointer) => look.parameter(Some(pointer), "T"),
        None => Ok(None),
    }
}

/// What an option may have: the parameter stands with its variants.
pub(super) fn optional(look: &Look<'_, '_>, of: Option<DieRef>) -> Result<Option<DieRef>> {
    let Some(die) = look.structure(of)? else {
        return Ok(None);
    };
    for child in look.info.children(die)? {
        if child.tag() == gimli::DW_TAG_structure_type
            && let Some(found) = look.parameter(Some(child.at), "T")?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

struct Nodes {
    node: DieRef,
    /// Zero is the end.
    next: u64,
    seen: HashSet<u64>,
}

impl<'a> Walk<'a> for Nodes {
    type Item = Typed;

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<Typed>> {
        if self.next == 0 {
            return Ok(None);
        }
        if !self.seen.insert(self.next) {
            let detail = format!("the node at {:#x} comes again", self.next);
            return Err(Absent::new(Reason::Cycle, detail));
        }
        let node = Typed {
            of: Some(self.node),
            object: Object::Memory(self.next),
        };
        let (Some(next), Some(element)) =
            (look.member(&node, "next")?, look.member(&node, "element")?)
        else {
            return Err(Absent::unsupported("nodes of an unknown form"));
        };
        self.next = u64::from_le_bytes(next.object.array(look.target)?);
        Ok(Some(element))
    }
}
