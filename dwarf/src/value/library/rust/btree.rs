use super::super::Walk;
use super::linked_list::optional;
use super::nodes::{InOrder, Nodes};
use super::{Contents, Look, Typed, newtype};
use crate::value::evaluate::Result;
use crate::value::tree::{Absent, Kind, Reason};

/// The tallest tree there is room for: each node but the root has at least five entries.
const MAX_HEIGHT: u64 = 24;

/// `BTreeMap`, and `BTreeSet`, which is one without values.
pub(super) fn contents<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    path: &str,
) -> Result<Option<Contents<'a>>> {
    let is_map = path.ends_with("::BTreeMap");
    let map = match is_map {
        true => Some(object.clone()),
        false => look.member(object, "map")?,
    };
    let Some(map) = map else { return Ok(None) };
    let (Some(root), Some(len), Some(key), Some(value)) = (
        look.member(&map, "root")?,
        newtype::member(look, &map, "length")?,
        look.parameter(map.of, "K")?,
        look.parameter(map.of, "V")?,
    ) else {
        return Ok(None);
    };
    let Some(node_ref) = optional(look, root.of)? else {
        return Ok(None);
    };
    // The option is a niche of the node's pointer: where that is null, there is no root.
    let root = Typed {
        of: Some(node_ref),
        object: root.object,
    };
    let (Some(node), Some(height)) = (look.member(&root, "node")?, look.member(&root, "height")?)
    else {
        return Ok(None);
    };
    let Some((node, pointer)) = newtype::pointer(look, &node)? else {
        return Ok(None);
    };
    let Some(nodes) = Nodes::new(look, &pointer, key, value)? else {
        return Ok(None);
    };
    let kind = match is_map {
        true => Kind::Map,
        false => Kind::Sequence,
    };
    let root = match (node, len) {
        (0, 0) => None,
        (0, _) => {
            let detail = format!("it says that it has {len}, and has no root");
            let why = Absent::new(Reason::Length, detail);
            return Ok(Some(Contents::Broken { kind, why }));
        }
        (node, _) => {
            let height = newtype::number(look, &height)?.unwrap_or(u64::MAX);
            if height > MAX_HEIGHT {
                let why = Absent::new(Reason::Size, format!("its height is {height}"));
                return Ok(Some(Contents::Broken { kind, why }));
            }
            Some((node, height))
        }
    };
    let entries = InOrder::new(nodes, root);
    let len = Some(len);
    Ok(Some(match is_map {
        true => Contents::Map {
            len,
            walk: Box::new(Entries(entries)),
        },
        false => Contents::Sequence {
            len,
            walk: Box::new(Keys(entries)),
        },
    }))
}

struct Entries(InOrder);

impl<'a> Walk<'a> for Entries {
    type Item = (Typed, Typed);

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<(Typed, Typed)>> {
        self.0.next(look)
    }
}

struct Keys(InOrder);

impl<'a> Walk<'a> for Keys {
    type Item = Typed;

    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<Typed>> {
        Ok(self.0.next(look)?.map(|(key, _)| key))
    }
}
