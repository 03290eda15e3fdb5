use super::super::cpp::{Links, Tree, alignment, element};
use super::super::{Contents, Look, Typed, Walk};
use super::tuple::Entries;
use crate::info::DieRef;
use crate::value::evaluate::Result;

/// Of `_Rb_tree_node_base`: a colour, and the addresses of three nodes.
const LINKS: Links = Links {
    parent: 8,
    left: 16,
    right: 24,
};

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
    let (Some(tree), Some(header)) = (
        look.member(object, "_M_t")?,
        look.path(object, &["_M_t", "_M_impl", "_M_header"])?,
    ) else {
        return Ok(None);
    };
    let (Some(count), Some(root)) = (
        look.path(&tree, &["_M_impl", "_M_node_count"])?,
        look.member(&header, "_M_parent")?,
    ) else {
        return Ok(None);
    };
    let (Some((root, _)), Some(of)) = (look.pointer(&root)?, element(look, tree.of, "_Val")?)
    else {
        return Ok(None);
    };
    let offset = in_node(look, of)?;
    let above = header.object.address();
    let walk = Tree::new(LINKS, Some(of), offset, root, above);
    Ok(Some((look.word(&count)?, walk)))
}

/// Where a node has its element: behind `_Rb_tree_node_base`.
pub(super) fn in_node(look: &Look<'_, '_>, of: DieRef) -> Result<u64> {
    Ok(32u64.next_multiple_of(alignment(look, Some(of))?))
}
