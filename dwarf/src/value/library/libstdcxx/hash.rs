use super::super::cpp::{Chain, element};
use super::super::{Contents, Look, Typed, Walk};
use super::list::in_forward_node;
use super::tuple::Entries;
use crate::value::evaluate::Result;

/// `unordered_set` and `unordered_multiset`.
pub(super) fn set<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(table(look, object)?.map(|(len, walk)| Contents::Sequence {
        len: Some(len),
        walk: Box::new(walk),
    }))
}

/// `unordered_map` and `unordered_multimap`.
pub(super) fn map<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(table(look, object)?.map(|(len, walk)| Contents::Map {
        len: Some(len),
        walk: Box::new(Entries(Box::new(walk) as Box<dyn Walk<'a, Item = Typed>>)),
    }))
}

/// All nodes of a table, which are one chain whatever their buckets. A node's hash stands behind
/// its element, where it is kept.
fn table<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<(u64, Chain)>> {
    let Some(table) = look.member(object, "_M_h")? else {
        return Ok(None);
    };
    let (Some(first), Some(count)) = (
        look.path(&table, &["_M_before_begin", "_M_nxt"])?,
        look.member(&table, "_M_element_count")?,
    ) else {
        return Ok(None);
    };
    let (Some((first, _)), Some(of)) = (look.pointer(&first)?, element(look, table.of, "_Value")?)
    else {
        return Ok(None);
    };
    let offset = in_forward_node(look, of)?;
    let walk = Chain::new(Some(of), offset, 0, first, 0);
    Ok(Some((look.word(&count)?, walk)))
}
