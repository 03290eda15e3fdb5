use std::collections::HashSet;

use super::super::{Look, Typed, Walk};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::tree::{Absent, Reason};

/// A balanced tree of as many nodes as memory has bytes is not deeper.
const MAX_DEPTH: usize = 128;

/// Where a node has the addresses of others.
#[derive(Clone, Copy)]
pub(in crate::value) struct Links {
    pub(in crate::value) left: u64,
    pub(in crate::value) right: u64,
    pub(in crate::value) parent: u64,
}

/// The nodes of a binary tree in order.
pub(in crate::value) struct Tree {
    links: Links,
    /// Of the elements.
    of: Option<DieRef>,
    /// Of an element in its node.
    offset: u64,
    /// Nodes that come after what was told, the next one last.
    open: Vec<u64>,
    /// A subtree to begin with, and the node that it hangs from.
    inside: Option<(u64, Option<u64>)>,
    seen: HashSet<u64>,
}

impl Tree {
    /// `above` is what the root has as its parent, where that is known.
    pub(in crate::value) fn new(
        links: Links,
        of: Option<DieRef>,
        offset: u64,
        root: u64,
        above: Option<u64>,
    ) -> Tree {
        Tree {
            links,
            of,
            offset,
            open: Vec::new(),
            inside: (root != 0).then_some((root, above)),
            seen: HashSet::new(),
        }
    }

    /// Opens a subtree down to its first node.
    fn descend(&mut self, look: &Look<'_, '_>, mut at: u64, mut above: Option<u64>) -> Result<()> {
        while at != 0 {
            if !self.seen.insert(at) || self.open.len() == MAX_DEPTH {
                return Err(Absent::new(Reason::Cycle, "a node is reached twice"));
            }
            let node = Object::Memory(at);
            let parent = link(look, &node, self.links.parent)?;
            if above.is_some_and(|above| above != parent) {
                let detail = "a node's parent is another node";
                return Err(Absent::new(Reason::Unreadable, detail));
            }
            self.open.push(at);
            above = Some(at);
            at = link(look, &node, self.links.left)?;
        }
        Ok(())
    }
}

impl<'a> Walk<'a> for Tree {
    type Item = Typed;

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<Typed>> {
        if let Some((at, above)) = self.inside.take() {
            self.descend(look, at, above)?;
        }
        let Some(at) = self.open.pop() else {
            return Ok(None);
        };
        let node = Object::Memory(at);
        let right = link(look, &node, self.links.right)?;
        if right != 0 {
            self.inside = Some((right, Some(at)));
        }
        Ok(Some(Typed {
            of: self.of,
            object: node.at(self.offset),
        }))
    }
}

fn link(look: &Look<'_, '_>, node: &Object, offset: u64) -> Result<u64> {
    Ok(u64::from_le_bytes(node.at(offset).array(look.target)?))
}
