use std::collections::HashSet;

use super::{Look, Typed};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::shape::Shape;
use crate::value::tree::{Absent, Reason};

/// The most entries of a node: `CAPACITY` in `alloc::collections::btree::node`.
const CAPACITY: u64 = 11;

/// How nodes of a B-tree are laid out.
pub(super) struct Nodes {
    leaf: DieRef,
    key: DieRef,
    value: DieRef,
    key_size: u64,
    value_size: u64,
    /// Where an inner node has the addresses of those below it.
    edges: u64,
}

impl Nodes {
    /// By the pointer to a leaf; `None` where the nodes are of another form.
    pub(super) fn new(
        look: &Look<'_, '_>,
        pointer: &Typed,
        key: DieRef,
        value: DieRef,
    ) -> Result<Option<Nodes>> {
        let Shape::Pointer(Some(leaf)) = look.shape(pointer.of)? else {
            return Ok(None);
        };
        let somewhere = Typed {
            of: Some(leaf),
            object: Object::Memory(0),
        };
        let Some(parent) = look.member(&somewhere, "parent")? else {
            return Ok(None);
        };
        // `Option<NonNull<InternalNode>>`, once a `*const InternalNode`.
        let inner = match look.shape(parent.of)? {
            Shape::Pointer(to) => to,
            _ => super::linked_list::optional_target(look, &parent)?,
        };
        let somewhere = Typed {
            of: inner,
            object: Object::Memory(0),
        };
        let edges = look.member(&somewhere, "edges")?;
        let edges = edges.and_then(|edges| edges.object.address());
        let sizes = (look.size(Some(key))?, look.size(Some(value))?);
        Ok(match (edges, sizes) {
            (Some(edges), (Some(key_size), Some(value_size))) => Some(Nodes {
                leaf,
                key,
                value,
                key_size,
                value_size,
                edges,
            }),
            _ => None,
        })
    }

    fn read(&self, look: &Look<'_, '_>, address: u64, height: u64) -> Result<Node> {
        let leaf = Typed {
            of: Some(self.leaf),
            object: Object::Memory(address),
        };
        let (Some(len), Some(keys), Some(values)) = (
            look.member(&leaf, "len")?,
            look.member(&leaf, "keys")?,
            look.member(&leaf, "vals")?,
        ) else {
            return Err(Absent::unsupported("nodes of an unknown form"));
        };
        let len = look.word(&len)?;
        if len > CAPACITY {
            let detail = format!("the node at {address:#x} says that it has {len} entries");
            return Err(Absent::new(Reason::Size, detail));
        }
        Ok(Node {
            address,
            height,
            len,
            keys: keys.object,
            values: values.object,
            at: 0,
        })
    }
}

/// A node on the way down, and how much of it is behind us.
struct Node {
    address: u64,
    /// Zero of a leaf.
    height: u64,
    len: u64,
    keys: Object,
    values: Object,
    at: u64,
}

/// Goes through the entries in order.
pub(super) struct InOrder {
    nodes: Nodes,
    /// Where it goes on, before what is on the way: the address of a node, and its height.
    below: Option<(u64, u64)>,
    way: Vec<Node>,
    seen: HashSet<u64>,
}

impl InOrder {
    /// From the root: its address and its height.
    pub(super) fn new(nodes: Nodes, root: Option<(u64, u64)>) -> InOrder {
        InOrder {
            nodes,
            below: root,
            way: Vec::new(),
            seen: HashSet::new(),
        }
    }

    pub(super) fn next(&mut self, look: &Look<'_, '_>) -> Result<Option<(Typed, Typed)>> {
        if let Some((address, height)) = self.below.take() {
            self.descend(look, address, height)?;
        }
        while let Some(node) = self.way.last_mut() {
            if node.at == node.len {
                self.way.pop();
                continue;
            }
            let index = node.at;
            node.at += 1;
            let entry = (
                Typed {
                    of: Some(self.nodes.key),
                    object: node.keys.at(index.wrapping_mul(self.nodes.key_size)),
                },
                Typed {
                    of: Some(self.nodes.value),
                    object: node.values.at(index.wrapping_mul(self.nodes.value_size)),
                },
            );
            if node.height > 0 {
                let (address, height) = (node.address, node.height);
                // An entry is told before what is behind it is looked at.
                self.below = Some((self.edge(look, address, index + 1)?, height - 1));
            }
            return Ok(Some(entry));
        }
        Ok(None)
    }

    /// To the first entry below a node.
    fn descend(&mut self, look: &Look<'_, '_>, address: u64, height: u64) -> Result<()> {
        let (mut address, mut height) = (address, height);
        loop {
            if !self.seen.insert(address) {
                let detail = format!("the node at {address:#x} comes again");
                return Err(Absent::new(Reason::Cycle, detail));
            }
            self.way.push(self.nodes.read(look, address, height)?);
            match height.checked_sub(1) {
                Some(below) => {
                    address = self.edge(look, address, 0)?;
                    height = below;
                }
                None => return Ok(()),
            }
        }
    }

    fn edge(&self, look: &Look<'_, '_>, node: u64, index: u64) -> Result<u64> {
        let at = node.wrapping_add(self.nodes.edges).wrapping_add(index * 8);
        let word = Object::Memory(at).array(look.target)?;
        Ok(u64::from_le_bytes(word))
    }
}
