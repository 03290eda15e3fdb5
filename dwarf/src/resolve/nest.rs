//! Which rows of a line are passed together, where control flow is not known: by lexical blocks.

use crate::info::{NodeKind, UnitScopes};

/// The innermost block of `owner` that an address is in.
pub(crate) fn block_of(scopes: &UnitScopes, owner: usize, addr: u64) -> Option<usize> {
    let mut block = Some(owner);
    for node in scopes.outward(scopes.innermost(addr)?) {
        if node == owner {
            return block;
        }
        // Blocks of functions that are inlined into the owner are not the owner's.
        block = Some(match scopes.node(node).kind {
            NodeKind::Block if block == Some(owner) => node,
            NodeKind::Block => block.unwrap_or(node),
            _ => owner,
        });
    }
    Some(owner)
}

/// Whether one block is in the other. gdb's rule is the same block, which counts `let` statements
/// twice whose new variable has a block of its own.
pub(crate) fn nested(scopes: &UnitScopes, a: usize, b: usize) -> bool {
    scopes.outward(a).any(|node| node == b) || scopes.outward(b).any(|node| node == a)
}
