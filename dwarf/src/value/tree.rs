use std::fmt;

/// A value with what is in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// Of the variable or member; the index of an element; `*` for what a pointer points to.
    pub name: String,
    /// As the program declares it; empty where none is known.
    pub type_name: String,
    pub kind: Kind,
    /// Of what is no aggregate: numbers in decimal, addresses as `0x…`, text as it is.
    pub value: Option<String>,
    pub children: Vec<Value>,
    /// Why there is no value, or not all of it.
    pub absent: Option<Absent>,
}

/// What a value is, whatever its language calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Int,
    Uint,
    Float,
    Bool,
    Char,
    String,
    Pointer,
    Struct,
    Union,
    Enum,
    Variant,
    Array,
    Sequence,
    Map,
    Optional,
    Function,
    Unit,
    /// Debug info does not tell.
    Unknown,
}

/// Why a value, or the rest of it, is not told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Absent {
    pub reason: Reason,
    /// A clause for people; may be empty.
    pub detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    OptimizedOut,
    NotLive,
    Unreadable,
    Depth,
    Length,
    Size,
    Cycle,
    Redacted,
    Unsupported,
    Budget,
}

impl Value {
    pub(crate) fn new(name: &str, type_name: String, kind: Kind) -> Value {
        Value {
            name: name.to_owned(),
            type_name,
            kind,
            value: None,
            children: Vec::new(),
            absent: None,
        }
    }

    pub(crate) fn with(mut self, value: impl Into<String>) -> Value {
        self.value = Some(value.into());
        self
    }

    pub(crate) fn without(mut self, absent: Absent) -> Value {
        self.absent = Some(absent);
        self
    }
}

impl Absent {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Absent {
        Absent {
            reason,
            detail: detail.into(),
        }
    }

    pub(crate) fn optimized_out(detail: impl Into<String>) -> Absent {
        Absent::new(Reason::OptimizedOut, detail)
    }

    pub(crate) fn unsupported(detail: impl Into<String>) -> Absent {
        Absent::new(Reason::Unsupported, detail)
    }
}

/// Debug info that cannot be read, in the words of its reader.
impl From<gimli::Error> for Absent {
    fn from(error: gimli::Error) -> Absent {
        Absent::unsupported(format!("damaged debug info: {error}"))
    }
}

impl Kind {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Int => "int",
            Kind::Uint => "uint",
            Kind::Float => "float",
            Kind::Bool => "bool",
            Kind::Char => "char",
            Kind::String => "string",
            Kind::Pointer => "pointer",
            Kind::Struct => "struct",
            Kind::Union => "union",
            Kind::Enum => "enum",
            Kind::Variant => "variant",
            Kind::Array => "array",
            Kind::Sequence => "sequence",
            Kind::Map => "map",
            Kind::Optional => "optional",
            Kind::Function => "function",
            Kind::Unit => "unit",
            Kind::Unknown => "unknown",
        }
    }
}

impl Reason {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Reason::OptimizedOut => "optimized_out",
            Reason::NotLive => "not_live",
            Reason::Unreadable => "unreadable",
            Reason::Depth => "depth",
            Reason::Length => "length",
            Reason::Size => "size",
            Reason::Cycle => "cycle",
            Reason::Redacted => "redacted",
            Reason::Unsupported => "unsupported",
            Reason::Budget => "budget",
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.reason.word().replace('_', " ");
        match self.detail.as_str() {
            "" => write!(f, "{words}"),
            detail => write!(f, "{words}: {detail}"),
        }
    }
}
