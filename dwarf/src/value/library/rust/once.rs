use super::cell::part;
use super::{Contents, Look, Typed, newtype};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::tree::{Absent, Kind};

/// The bits of a futex `Once` that are its state; another one says that threads wait.
const STATE: u64 = 3;
/// The minor version of rustc from which on the states are surely numbered from the end, and the
/// last one that surely has them in order.
const NUMBERED: (u32, u32) = (90, 84);

/// What a `Once` has come to (`std::sys::sync::once::futex`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Incomplete,
    Poisoned,
    Running,
    Complete,
}

/// A `OnceLock` is an option.
pub(super) fn once_lock<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(once), Some(value), Some(of)) = (
        look.member(object, "once")?,
        look.member(object, "value")?,
        look.parameter(object.of, "T")?,
    ) else {
        return Ok(None);
    };
    let Some(number) = number(look, &once)? else {
        return Ok(None);
    };
    let held = Typed {
        of: Some(of),
        object: value.object,
    };
    Ok(Some(match state(look, object.of, number) {
        Ok(State::Complete) => Contents::Optional(Some(held)),
        Ok(_) => Contents::Optional(None),
        Err(why) => Contents::Broken {
            kind: Kind::Optional,
            why,
        },
    }))
}

/// A `LazyLock` reads as a `LazyCell`: with its function, with its value, poisoned.
pub(super) fn lazy_lock<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let (Some(once), Some(data), Some(of), Some(function)) = (
        look.member(object, "once")?,
        look.member(object, "data")?,
        look.parameter(object.of, "T")?,
        look.parameter(object.of, "F")?,
    ) else {
        return Ok(None);
    };
    let Some(number) = number(look, &once)? else {
        return Ok(None);
    };
    let (name, of) = match state(look, object.of, number) {
        Ok(State::Incomplete) => ("Uninit", Some(function)),
        Ok(State::Running) => ("Running", None),
        Ok(State::Complete) => ("Init", Some(of)),
        Ok(State::Poisoned) => ("Poisoned", None),
        Err(why) => {
            let kind = Kind::Variant;
            return Ok(Some(Contents::Broken { kind, why }));
        }
    };
    let held = of.map(|of| Typed {
        of: Some(of),
        object: data.object,
    });
    Ok(Some(Contents::State {
        name: name.to_owned(),
        parts: held.into_iter().map(|held| part("0", held)).collect(),
    }))
}

pub(super) fn once<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let Some(number) = number(look, object)? else {
        return Ok(None);
    };
    let kind = Kind::Enum;
    Ok(Some(match state(look, object.of, number) {
        Ok(state) => Contents::Scalar {
            kind,
            text: format!("{state:?}"),
        },
        Err(why) => Contents::Broken { kind, why },
    }))
}

fn number(look: &Look<'_, '_>, once: &Typed) -> Result<Option<u64>> {
    let Some(inner) = look.member(once, "inner")? else {
        return Ok(None);
    };
    newtype::member(look, &inner, "state_and_queued")
}

/// The numbers were turned around, and nothing in debug info but the compiler's version says on
/// which side of that a program is.
fn state(look: &Look<'_, '_>, of: Option<DieRef>, number: u64) -> Result<State> {
    let (from_the_end, in_order) = NUMBERED;
    let number = number & STATE;
    let number = match minor_version(look, of) {
        Some(version) if version >= from_the_end => STATE - number,
        Some(version) if version <= in_order => number,
        _ => {
            let detail = format!("what its state {number} means depends on the version of rustc");
            return Err(Absent::unsupported(detail));
        }
    };
    Ok(match number {
        0 => State::Incomplete,
        1 => State::Poisoned,
        2 => State::Running,
        _ => State::Complete,
    })
}

/// The 95 in `clang LLVM (rustc version 1.95.0 (…))`.
fn minor_version(look: &Look<'_, '_>, of: Option<DieRef>) -> Option<u32> {
    let unit = of?.unit;
    let entries = look.info.unit(unit).ok()?;
    let root = entries.entry(entries.header.root_offset()).ok()?;
    let producer = root.attr_value(gimli::DW_AT_producer)?;
    let producer = look.info.text(unit, producer)?;
    let version = producer.split_once("rustc version 1.")?.1;
    version.split('.').next()?.parse().ok()
}
