use std::collections::HashSet;

use super::super::{Look, Typed, Walk};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Reason};

/// Nodes that lead from one to the next.
pub(in crate::value) struct Chain {
    /// Of the elements.
    of: Option<DieRef>,
    /// Of an element in its node.
    offset: u64,
    /// Of the next node's address in a node.
    link: u64,
    /// The next node.
    at: u64,
    /// Where the chain comes back to; 0 where it just ends.
    end: u64,
    seen: HashSet<u64>,
}

impl Chain {
    pub(in crate::value) fn new(
        of: Option<DieRef>,
        offset: u64,
        link: u64,
        first: u64,
        end: u64,
    ) -> Chain {
        Chain {
            of,
            offset,
            link,
            at: first,
            end,
            seen: HashSet::new(),
        }
    }
}

impl<'a> Walk<'a> for Chain {
    type Item = Typed;

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<Typed>> {
        if self.at == self.end {
            return Ok(None);
        }
        if self.at == 0 {
            let detail = "a node leads nowhere, before the end";
            return Err(Absent::new(Reason::Unreadable, detail));
        }
        if !self.seen.insert(self.at) {
            return Err(Absent::new(Reason::Cycle, "a node is reached twice"));
        }
        let node = Object::Memory(self.at);
        self.at = u64::from_le_bytes(node.at(self.link).array(look.target)?);
        Ok(Some(Typed {
            of: self.of,
            object: node.at(self.offset),
        }))
    }
}
