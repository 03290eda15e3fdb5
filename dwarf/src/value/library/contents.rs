use super::look::{Look, Typed};
use crate::value::evaluate::Result;
use crate::value::object::Object;
use crate::value::text::Unit;
use crate::value::tree::{Absent, Kind};

/// What is in an object of a library's type, in the terms of its author. How much of it is told is
/// up to the reader.
pub(in crate::value) enum Contents<'a> {
    /// Text of so many bytes, UTF-8 by convention.
    Text { at: Object, bytes: u64 },
    /// Text of so many units of two or four bytes.
    Wide { at: Object, unit: Unit, units: u64 },
    /// Elements in order; `len` is how many the object says there are, where it says so.
    Sequence {
        len: Option<u64>,
        walk: Box<dyn Walk<'a, Item = Typed> + 'a>,
    },
    /// Keys with values, in the order of the container.
    Map {
        len: Option<u64>,
        walk: Box<dyn Walk<'a, Item = (Typed, Typed)> + 'a>,
    },
    /// What there may be.
    Optional(Option<Typed>),
    /// One of several alternatives: its name, and what it holds.
    Variant { name: String, holds: Typed },
    /// An owner, with what it points to (none where it is null or leads to nothing typed). Parts
    /// are told beside it, as counts of owners are.
    Pointer {
        address: u64,
        to: Option<PartAt<'a>>,
        parts: Vec<Part<'a>>,
    },
    /// What is in one of several states: its name, and what there is in it.
    State { name: String, parts: Vec<Part<'a>> },
    /// A wrapper that is nothing but what it wraps.
    Itself(Typed),
    /// A wrapper with a state, or a structure whose parts are not where its author sees them.
    Parts(Vec<Part<'a>>),
    /// A value that is written in one word: a duration, an address of a network.
    Scalar { kind: Kind, text: String },
    /// One word for the whole, with parts beside it: a function and what it captured.
    Labelled {
        kind: Kind,
        text: String,
        parts: Vec<Part<'a>>,
    },
    /// An object that cannot be what its type says.
    Broken { kind: Kind, why: Absent },
}

/// A named part of an object.
pub(in crate::value) struct Part<'a> {
    pub(in crate::value) name: String,
    pub(in crate::value) at: PartAt<'a>,
}

impl Part<'_> {
    pub(in crate::value) fn object(name: &str, typed: Typed) -> Self {
        Part {
            name: name.to_owned(),
            at: PartAt::Object(typed),
        }
    }
}

pub(in crate::value) enum PartAt<'a> {
    Object(Typed),
    /// An object of another type than the one that is declared: the name of it is told.
    Dynamic {
        type_name: String,
        object: Typed,
    },
    /// What debug info has no type for that says how much there is: text and elements behind a
    /// header.
    Contents {
        type_name: String,
        contents: Box<Contents<'a>>,
    },
    /// What is computed and has no object of its own.
    Scalar {
        kind: Kind,
        text: String,
    },
    Absent(Absent),
}

impl From<Typed> for PartAt<'_> {
    fn from(object: Typed) -> Self {
        PartAt::Object(object)
    }
}

/// Goes from element to element. Whoever asks counts them; a walk that could go on for ever must
/// end by itself only where it can tell so (a cycle).
pub(in crate::value) trait Walk<'a> {
    type Item;
    /// The next one; `None` at the end.
    fn next(&mut self, look: &Look<'_, 'a>) -> Result<Option<Self::Item>>;
}
