use super::super::cpp::{Chain, alignment, any_member, any_path, element};
use super::super::{Contents, Look, Typed, Walk};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::tree::Absent;

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

/// All nodes of a table, which are one chain whatever their buckets.
fn table<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<(u64, Chain)>> {
    let Some(table) = look.member(object, "__table_")? else {
        return Ok(None);
    };
    let (Some(first), Some(size), Some(of)) = (
        any_path(
            look,
            &table,
            &[
                &["__p1_", "__value_", "__next_"],
                &["__first_node_", "__next_"],
            ],
        )?,
        any_path(look, &table, &[&["__p2_", "__value_"], &["__size_"]])?,
        element(look, table.of, "_Tp")?,
    ) else {
        return Ok(None);
    };
    let Some((first, _)) = look.pointer(&first)? else {
        return Ok(None);
    };
    let offset = in_node(look, of)?;
    let walk = Chain::new(Some(of), offset, 0, first, 0);
    Ok(Some((look.word(&size)?, walk)))
}

/// Where a node has its element: behind `__next_` and `__hash_`.
pub(super) fn in_node(look: &Look<'_, '_>, of: DieRef) -> Result<u64> {
    Ok(16u64.next_multiple_of(alignment(look, Some(of))?))
}

/// The pair that is in an entry of a map.
pub(super) fn entry<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    Ok(any_member(look, object, &["__cc_", "__cc"])?.map(Contents::Itself))
}

/// Elements that are pairs, as keys with values; a structure around them (`__value_type`) makes
/// their keys constant.
pub(super) struct Entries<'a>(pub(super) Box<dyn Walk<'a, Item = Typed> + 'a>);

impl<'a> Walk<'a> for Entries<'a> {
    type Item = (Typed, Typed);

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<(Typed, Typed)>> {
        let Some(entry) = self.0.next(look)? else {
            return Ok(None);
        };
        let (Some(key), Some(value)) = (
            any_path(
                look,
                &entry,
                &[&["first"], &["__cc_", "first"], &["__cc", "first"]],
            )?,
            any_path(
                look,
                &entry,
                &[&["second"], &["__cc_", "second"], &["__cc", "second"]],
            )?,
        ) else {
            return Err(Absent::unsupported("entries that are no pairs"));
        };
        Ok(Some((key, value)))
    }
}
