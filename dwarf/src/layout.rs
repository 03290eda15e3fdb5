/// Reads a hit's record back: the message and its fields.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout {}

/// What is known of a hit beside its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HitContext<'a> {
    pub pid: u32,
    pub tid: u32,
    pub thread: &'a str,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    pub hits: u64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Rendered {
    pub message: String,
    pub fields: Vec<RenderedField>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct RenderedField {
    /// Unique in its event.
    pub name: String,
    /// As the program declares it; empty where none is known.
    pub type_name: String,
    pub value: Scalar,
}

/// A value, or why there is none.
#[derive(Clone, PartialEq, Debug)]
pub enum Scalar {
    Int(i64),
    Uint(u64),
    Float(f64),
    Bool(bool),
    /// Strings, characters, pointers (`0x…`), names of enumerators. Bytes that are not UTF-8 are
    /// `\xNN`; a string that was cut ends in `…`.
    Text(String),
    Absent {
        reason: Absence,
        detail: String,
    },
}

/// Why there is no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absence {
    OptimizedOut,
    /// It exists in the source, but has no value yet at this line.
    NotLive,
    Unreadable,
    Unsupported,
    Budget,
    /// Division by zero, an index out of range: the expression has no value.
    Undefined,
    /// The record had no room for it.
    Size,
}

impl Absence {
    /// The word for it, as in messages.
    pub fn word(self) -> &'static str {
        match self {
            Absence::OptimizedOut => "optimized_out",
            Absence::NotLive => "not_live",
            Absence::Unreadable => "unreadable",
            Absence::Unsupported => "unsupported",
            Absence::Budget => "budget",
            Absence::Undefined => "undefined",
            Absence::Size => "size",
        }
    }
}

impl Layout {
    /// Reads one record.
    pub fn render(&self, _record: &[u8], _hit: &HitContext<'_>) -> Rendered {
        Rendered {
            message: String::new(),
            fields: Vec::new(),
        }
    }
}
