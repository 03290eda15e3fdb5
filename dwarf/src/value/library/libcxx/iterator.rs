use super::super::cpp::{any_member, any_path, before, element, family, list_end, node, pointer};
use super::super::{Contents, Look, Typed};
use super::{hash, list, set};
use crate::value::evaluate::Result;
use crate::value::shape::Shape;

/// Iterators read as pointers to their elements.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let name = look.name(object.of)?;
    match family(&name) {
        "__wrap_iter" => match any_member(look, object, &["__i_", "__i"])? {
            Some(at) => pointer(look, &at, Vec::new()),
            None => Ok(None),
        },
        "__map_iterator"
        | "__map_const_iterator"
        | "__hash_map_iterator"
        | "__hash_map_const_iterator" => {
            Ok(any_member(look, object, &["__i_", "__i"])?.map(Contents::Itself))
        }
        "reverse_iterator" => reverse(look, object),
        "__list_iterator" | "__list_const_iterator" => {
            of_node(look, object, &["__ptr_"], "_Tp", Family::List)
        }
        "__tree_iterator" | "__tree_const_iterator" => {
            of_node(look, object, &["__ptr_"], "_Tp", Family::Tree)
        }
        "__hash_iterator" | "__hash_const_iterator" => {
            of_node(look, object, &["__node_"], "_NodePtr", Family::Hash)
        }
        _ => of_node(look, object, &["__ptr_"], "_NodePtr", Family::Forward),
    }
}

#[derive(Clone, Copy)]
enum Family {
    List,
    Tree,
    Hash,
    Forward,
}

fn of_node<'a>(
    look: &Look<'_, 'a>,
    object: &Typed,
    names: &[&str],
    parameter: &str,
    family: Family,
) -> Result<Option<Contents<'a>>> {
    let Some(member) = any_member(look, object, names)? else {
        return Ok(None);
    };
    let Some((at, _)) = look.pointer(&member)? else {
        return Ok(None);
    };
    let Some(of) = element(look, object.of, parameter)? else {
        return Ok(None);
    };
    // Some are made for the type of a pointer to a node, which tells the element.
    let of = match parameter {
        "_NodePtr" => {
            let to = match look.shape(Some(of))? {
                Shape::Pointer(to) => to,
                _ => None,
            };
            match element(look, to, "_Tp")? {
                Some(of) => of,
                None => return Ok(None),
            }
        }
        _ => of,
    };
    let (offset, is_end) = match family {
        Family::List => (list::in_node(look, of)?, list_end(look, at, 8)?),
        Family::Tree => (set::in_node(look, of)?, Some(!set::is_node(look, at)?)),
        Family::Hash => (hash::in_node(look, of)?, Some(at == 0)),
        Family::Forward => (list::in_forward_node(look, of)?, Some(at == 0)),
    };
    Ok(Some(node(at, offset, of, is_end)))
}

/// A reversed iterator means the element before the one that it has; known of those of vectors.
fn reverse<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let current = any_path(look, object, &[&["current"]])?;
    match current {
        Some(current) if family(&look.name(current.of)?) == "__wrap_iter" => {
            match any_member(look, &current, &["__i_", "__i"])? {
                Some(at) => before(look, &at),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}
