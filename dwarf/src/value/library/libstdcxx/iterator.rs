use super::super::cpp::{self, before, element, family, list_end, pointer};
use super::super::{Contents, Look, Typed};
use super::{list, set};
use crate::value::evaluate::Result;
use crate::value::object::Object;

/// Iterators read as pointers to their elements.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let name = look.name(object.of)?;
    let (member, parameter) = match family(&name) {
        "__normal_iterator" => return of_vector(look, object, "_M_current"),
        "_Deque_iterator" => return of_vector(look, object, "_M_cur"),
        "reverse_iterator" => return reverse(look, object),
        "_Node_iterator" | "_Node_const_iterator" => ("_M_cur", "_Value"),
        _ => ("_M_node", "_Tp"),
    };
    let (Some(node), Some(of)) = (
        look.member(object, member)?,
        element(look, object.of, parameter)?,
    ) else {
        return Ok(None);
    };
    let Some((node, _)) = look.pointer(&node)? else {
        return Ok(None);
    };
    let (offset, is_end) = match family(&name) {
        "_List_iterator" | "_List_const_iterator" => {
            let is_end = match list::counts(look, object)? {
                true => list_end(look, node, 0)?,
                false => None,
            };
            (list::in_node(look, of)?, is_end)
        }
        "_Rb_tree_iterator" | "_Rb_tree_const_iterator" => {
            (set::in_node(look, of)?, Some(is_header(look, node)?))
        }
        _ => (list::in_forward_node(look, of)?, Some(node == 0)),
    };
    Ok(Some(cpp::node(node, offset, of, is_end)))
}

/// An iterator that is a pointer.
fn of_vector<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    member: &str,
) -> Result<Option<Contents<'a>>> {
    match look.member(object, member)? {
        Some(at) => pointer(look, &at, Vec::new()),
        None => Ok(None),
    }
}

/// A reversed iterator means the element before the one that it has; known of those of vectors.
fn reverse<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    match look.member(object, "current")? {
        Some(current) if family(&look.name(current.of)?) == "__normal_iterator" => {
            match look.member(&current, "_M_current")? {
                Some(at) => before(look, &at),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// Whether a node is the header of a tree: red, and the parent of its parent. A root is that too,
/// and black.
fn is_header(look: &Look<'_, '_>, node: u64) -> Result<bool> {
    let word =
        |at: u64| -> Result<u64> { Ok(u64::from_le_bytes(Object::Memory(at).array(look.target)?)) };
    let [color] = Object::Memory(node).array::<1>(look.target)?;
    let parent = word(node.wrapping_add(8))?;
    // The header of an empty tree has no parent.
    Ok(color == 0 && (parent == 0 || word(parent.wrapping_add(8))? == node))
}
