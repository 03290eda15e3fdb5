use super::super::cpp::{Links, Tree, alignment, any_path, element};
use super::super::{Contents, Look, Typed, Walk};
use super::hash::Entries;
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::object::Object;

/// Of `__tree_node_base`: the addresses of three nodes, and a `bool`.
const LINKS: Links = Links {
    left: 0,
    right: 8,
    parent: 16,
};
/// What follows the `bool` may begin in the room behind it, since the base is no plain structure
/// (Itanium C++ ABI, 2.4).
const LINKS_BYTES: u64 = 25;

/// `set` and `multiset`.
pub(super) fn set<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(tree(look, object)?.map(|(len, walk)| Contents::Sequence {
        len: Some(len),
        walk: Box::new(walk),
    }))
}

/// `map` and `multimap`.
pub(super) fn map<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(tree(look, object)?.map(|(len, walk)| Contents::Map {
        len: Some(len),
        walk: Box::new(Entries(Box::new(walk) as Box<dyn Walk<'a, Item = Typed>>)),
    }))
}

/// The nodes, and how many there should be.
fn tree<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<(u64, Tree)>> {
    let Some(tree) = look.member(object, "__tree_")? else {
        return Ok(None);
    };
    let (Some(end), Some(size), Some(of)) = (
        any_path(look, &tree, &[&["__pair1_", "__value_"], &["__end_node_"]])?,
        any_path(look, &tree, &[&["__pair3_", "__value_"], &["__size_"]])?,
        element(look, tree.of, "_Tp")?,
    ) else {
        return Ok(None);
    };
    let Some(root) = look.member(&end, "__left_")? else {
        return Ok(None);
    };
    let Some((root, _)) = look.pointer(&root)? else {
        return Ok(None);
    };
    let offset = in_node(look, of)?;
    let walk = Tree::new(LINKS, Some(of), offset, root, end.object.address());
    Ok(Some((look.word(&size)?, walk)))
}

/// Where a node has its element.
pub(super) fn in_node(look: &Look<'_, '_>, of: DieRef) -> Result<u64> {
    Ok(LINKS_BYTES.next_multiple_of(alignment(look, Some(of))?))
}

/// Whether there is a node that another one has as its child: the end of a tree is in its object
/// and has no parent.
pub(super) fn is_node(look: &Look<'_, '_>, node: u64) -> Result<bool> {
    let place = Object::Memory(node.wrapping_add(LINKS.parent));
    let parent = u64::from_le_bytes(place.array(look.target)?);
    let has = |link: u64| look.target.word(parent.wrapping_add(link)) == Some(node);
    Ok(has(LINKS.left) || has(LINKS.right))
}
