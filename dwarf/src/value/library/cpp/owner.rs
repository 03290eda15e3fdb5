use super::super::contents::{Part, PartAt};
use super::super::{Contents, Look, Typed};
use crate::value::evaluate::Result;
use crate::value::shape::Shape;
use crate::value::tree::Kind;

/// What is counted for an owner that shares: owners, and those that only know of the object.
#[derive(Clone, Copy)]
pub(in crate::value) struct Owned {
    pub(in crate::value) strong: i128,
    pub(in crate::value) weak: i128,
}

/// A pointer with what it points to; `None` where the member is no pointer.
pub(in crate::value) fn pointer<'a>(
    look: &Look<'_, 'a>,
    pointer: &Typed,
    parts: Vec<Part<'a>>,
) -> Result<Option<Contents<'a>>> {
    let Some((address, _)) = look.pointer(pointer)? else {
        return Ok(None);
    };
    let mut to = look.pointee(pointer)?;
    if let Some(pointee) = &to
        && look.shape(pointee.of)? == Shape::Void
    {
        to = None;
    }
    let to = to.map(PartAt::Object);
    Ok(Some(Contents::Pointer { address, to, parts }))
}

/// A pointer that is one of several owners, or only knows of the object.
pub(in crate::value) fn owner<'a>(
    look: &Look<'_, 'a>,
    to: &Typed,
    counts: Option<Result<Owned>>,
) -> Result<Option<Contents<'a>>> {
    let counts = match counts {
        None => return pointer(look, to, Vec::new()),
        Some(Ok(counts)) => counts,
        Some(Err(absent)) => {
            let part = Part {
                name: "strong".to_owned(),
                at: PartAt::Absent(absent),
            };
            return pointer(look, to, vec![part]);
        }
    };
    let count = |name: &str, count: i128| Part {
        name: name.to_owned(),
        at: PartAt::Scalar {
            kind: Kind::Int,
            text: count.to_string(),
        },
    };
    let parts = vec![count("strong", counts.strong), count("weak", counts.weak)];
    if counts.strong == 0 {
        // Nobody owns what was there.
        return Ok(Some(Contents::Labelled {
            kind: Kind::Pointer,
            text: "expired".to_owned(),
            parts,
        }));
    }
    pointer(look, to, parts)
}

/// A pointer that is the only owner, with what deletes if that has a state.
pub(in crate::value) fn held<'a>(
    look: &Look<'_, 'a>,
    owned: &Typed,
    deleter: Option<Typed>,
) -> Result<Option<Contents<'a>>> {
    let mut parts = Vec::new();
    if let Some(deleter) = deleter
        && has_state(look, &deleter)?
    {
        parts.push(Part::object("deleter", deleter));
    }
    if look.pointer(owned)?.is_some() {
        return pointer(look, owned, parts);
    }
    // A deleter may say that something else than a pointer is owned.
    parts.insert(0, Part::object("pointer", owned.clone()));
    Ok(Some(Contents::Parts(parts)))
}

/// Whether there is something in an object: `default_delete` is empty.
fn has_state(look: &Look<'_, '_>, object: &Typed) -> Result<bool> {
    Ok(match look.structure(object.of)? {
        Some(die) => !look.fields_of(die)?.is_empty(),
        None => true,
    })
}
