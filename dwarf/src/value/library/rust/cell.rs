use super::super::{Part, PartAt};
use super::{Contents, Look, Typed, newtype};
use crate::value::evaluate::Result;
use crate::value::tree::{Absent, Kind, Reason};

/// A `RefCell`: its value, and who borrows it.
pub(super) fn ref_cell<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(value), Some(borrow)) = (
        look.path(object, &["value", "value"])?,
        newtype::member(look, object, "borrow")?,
    ) else {
        return Ok(None);
    };
    let borrow = match borrow.cast_signed() {
        0 => "free".to_owned(),
        readers @ 1.. => format!("read by {readers}"),
        -1 => "written".to_owned(),
        // `RefMut::map_split` makes more than one.
        writers => format!("written by {}", writers.unsigned_abs()),
    };
    Ok(Some(Contents::Parts(vec![
        part("value", value),
        word("borrow", Kind::Enum, borrow),
    ])))
}

pub(super) fn part<'a>(name: &str, object: Typed) -> Part<'a> {
    Part {
        name: name.to_owned(),
        at: PartAt::Object(object),
    }
}

pub(super) fn word<'a>(name: &str, kind: Kind, text: impl Into<String>) -> Part<'a> {
    Part {
        name: name.to_owned(),
        at: PartAt::Scalar {
            kind,
            text: text.into(),
        },
    }
}

/// A `OnceCell` is an option.
pub(super) fn once_cell<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let inner = look.path(object, &["inner", "value"])?;
    Ok(inner.map(Contents::Itself))
}

/// A `LazyCell` is an enumeration: with its function, with its value, poisoned.
pub(super) fn lazy_cell<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let state = look.path(object, &["state", "value"])?;
    Ok(state.map(Contents::Itself))
}

/// Nobody says whether a `MaybeUninit` has a value.
pub(super) fn maybe_uninit<'a>(_: &Look<'_, 'a>, _: &Typed) -> Result<Option<Contents<'a>>> {
    let kind = Kind::Union;
    let why = Absent::new(Reason::Unsupported, "nothing says whether it was set");
    Ok(Some(Contents::Broken { kind, why }))
}
