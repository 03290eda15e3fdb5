use std::fmt::Write as _;
use std::sync::Arc;

use lr_probe::{Fields, Kept, Reason};

use crate::expr::Format;
use crate::place::ScopeId;
use crate::target::Target;
use crate::text::{quoted, readable};
use crate::unwind::Stack;
use crate::value::{Absent, Kind, Limits, Value};
use crate::watch::{as_expressions_say, watch};

/// Reads a hit's record back: the message and its fields.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Layout {
    pub(crate) segments: Vec<Segment>,
    pub(crate) fields: Vec<Field>,
    pub(crate) trees: Vec<Tree>,
    /// The instance that the place is in, whose names are meant.
    pub(crate) scope: Option<ScopeId>,
    /// The place's line, and its file. Other lines may have the same address.
    pub(crate) line: (String, u32),
}

/// A field that no program can keep: a whole, which is read while the thread is held.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Tree {
    /// As it is watched.
    pub(crate) expression: String,
}

/// A part of the message.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Segment {
    Text(String),
    Field { index: usize, format: Format },
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    pub(crate) type_name: Arc<str>,
    /// Whether the record has parts of it.
    pub(crate) in_record: bool,
    pub(crate) decode: Decode,
}

/// How the parts of a field become a value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Decode {
    Int {
        bytes: u8,
    },
    Uint,
    Bool,
    /// A byte as a character.
    ByteChar,
    /// A Unicode scalar.
    Char,
    Float {
        single: bool,
    },
    Pointer,
    Enum {
        signed: bool,
        names: Vec<(u64, String)>,
    },
    Bytes,
    /// A part of a text of C: a NUL ends it before its length does.
    BytesToNul,
    /// Up to a NUL; `room` is the size of the array that it is in.
    CStr {
        room: Option<u64>,
    },
    Thread,
    Constant(String),
    /// Read by whoever holds the thread: how many trees come before it.
    Tree(usize),
    Absent {
        reason: Absence,
        detail: String,
    },
}

/// Most messages are not longer.
const ROOM_FOR_MESSAGE: usize = 120;

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
    pub name: Arc<str>,
    /// As the program declares it; empty where none is known.
    pub type_name: Arc<str>,
    /// Of a whole, its text on one line.
    pub value: Scalar,
    pub tree: Option<Value>,
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
    /// Whether hits have to be held, so that [`Layout::read_trees`] reads their thread.
    pub fn has_trees(&self) -> bool {
        !self.trees.is_empty()
    }

    /// Reads the wholes among the fields, in their order, of the thread that is held at the place.
    pub fn read_trees<'a>(&self, target: &Target<'a>, stack: &Stack<'a>) -> Vec<Value> {
        let read = |tree: &Tree| tree.read(target, stack, self.scope);
        self.trees.iter().map(read).collect()
    }

    /// Whether equal records mean the same in both.
    pub fn is_like(&self, other: &Layout) -> bool {
        self.segments == other.segments && self.fields == other.fields
    }

    /// Makes the stack of a thread that stands at the place begin with the place's own line: takes
    /// away what is inlined there and has not been entered yet, and names that line where others
    /// have the same address.
    pub fn begin(&self, stack: &mut Stack<'_>) {
        stack.begin_in(self.scope);
        let (file, line) = &self.line;
        if let Some(top) = stack.frames.first_mut()
            && top.activation == 0
            && top.file == *file
            && *line != 0
        {
            top.line = *line;
        }
    }

    /// Reads one record. A record that is cut short or malformed gives reasons, not garbage.
    pub fn render(&self, record: &[u8], hit: &HitContext<'_>) -> Rendered {
        self.render_with(record, hit, &[])
    }

    /// The same with what [`Layout::read_trees`] read; none where the thread went on before.
    pub fn render_with(&self, record: &[u8], hit: &HitContext<'_>, trees: &[Value]) -> Rendered {
        let mut record = Fields::new(record);
        let fields: Vec<RenderedField> = self
            .fields
            .iter()
            .map(|field| field.rendered(&mut record, hit, trees))
            .collect();
        let mut message = String::with_capacity(ROOM_FOR_MESSAGE);
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => message.push_str(text),
                Segment::Field { index, format } => {
                    let field = &fields[*index];
                    match &field.tree {
                        Some(tree) if matches!(format, Format::Quoted | Format::Raw) => {
                            message.push_str(&tree.one_line());
                        }
                        _ => self.fields[*index].show(&field.value, *format, &mut message),
                    }
                }
            }
        }
        Rendered { message, fields }
    }

    /// The group of a record of `Wanted::Number`, or of as many of its bytes as were kept.
    pub fn group(&self, record: &[u8]) -> String {
        let Some(field) = self.fields.first() else {
            return String::new();
        };
        let nobody = HitContext {
            pid: 0,
            tid: 0,
            thread: "",
            time_ns: 0,
            hits: 0,
        };
        let value = field.read(&mut Fields::new(record), &nobody);
        let mut shown = String::new();
        field.show(&value, Format::Plain, &mut shown);
        shown
    }
}

impl Tree {
    fn read<'a>(&self, target: &Target<'a>, stack: &Stack<'a>, scope: Option<ScopeId>) -> Value {
        let unread = |why: String| {
            let name = self.expression.clone();
            Value::new(&name, String::new(), Kind::Unknown).without(Absent::unsupported(why))
        };
        let Some(frame) = stack.frame_of(scope) else {
            return unread("the stack has no frame".to_owned());
        };
        match watch(target, stack, frame, &self.expression, &Limits::WHOLE) {
            Ok(value) => value,
            Err(error) => unread(error.kind.to_string()),
        }
    }
}

impl Field {
    fn rendered(
        &self,
        record: &mut Fields<'_>,
        hit: &HitContext<'_>,
        trees: &[Value],
    ) -> RenderedField {
        let mut rendered = RenderedField {
            name: self.name.clone(),
            type_name: self.type_name.clone(),
            value: self.read(record, hit),
            tree: None,
        };
        if let Decode::Tree(index) = self.decode
            && let Some(tree) = trees.get(index)
        {
            if rendered.type_name.is_empty() {
                rendered.type_name = tree.type_name.as_str().into();
            }
            rendered.value = match &tree.absent {
                Some(absent) if tree.value.is_none() && tree.children.is_empty() => {
                    let (reason, detail) = as_expressions_say(absent);
                    Scalar::Absent { reason, detail }
                }
                _ => word_of(tree).unwrap_or_else(|| Scalar::Text(tree.one_line())),
            };
            rendered.tree = Some(tree.clone());
        }
        rendered
    }

    fn read(&self, record: &mut Fields<'_>, hit: &HitContext<'_>) -> Scalar {
        if !self.in_record {
            return match &self.decode {
                Decode::Thread => Scalar::Text(hit.thread.to_owned()),
                Decode::Constant(text) => Scalar::Text(text.clone()),
                Decode::Absent { reason, detail } => absent(*reason, detail),
                Decode::Tree(_) => absent(Absence::Budget, "the thread went on before it was read"),
                _ => absent(Absence::Unsupported, "nothing was kept of it"),
            };
        }
        let mut kept = None;
        record.next(|part| kept = kept.or(Some(part)));
        match kept {
            Some(Kept::Word(word)) => self.decode.word(word),
            Some(Kept::Bytes { asked, bytes }) => {
                let mut cut = asked > bytes.len() as u64;
                let mut bytes = bytes;
                if self.decode == Decode::BytesToNul
                    && let Some(end) = bytes.iter().position(|&byte| byte == 0)
                {
                    (bytes, cut) = (&bytes[..end], false);
                }
                Scalar::Text(readable(bytes, cut))
            }
            Some(Kept::CStr { ended, bytes }) => {
                let room = match &self.decode {
                    Decode::CStr { room } => *room,
                    _ => None,
                };
                let full = room.is_some_and(|room| bytes.len() as u64 >= room);
                Scalar::Text(readable(bytes, !ended && !full))
            }
            Some(Kept::Fault { reason, address }) => {
                let (reason, detail) = fault(reason, address);
                Scalar::Absent { reason, detail }
            }
            None => absent(Absence::Size, "the record is cut short"),
        }
    }

    /// Adds the value to a message.
    fn show(&self, value: &Scalar, format: Format, message: &mut String) {
        // Writing to a String does not fail.
        let _ = match (value, format) {
            (Scalar::Int(value), Format::Hex) => {
                let bits = match self.decode {
                    Decode::Int { bytes } if bytes < 8 => u32::from(bytes) * 8,
                    _ => 64,
                };
                let mask = u64::MAX >> (64 - bits);
                write!(message, "{:#x}", value.cast_unsigned() & mask)
            }
            (Scalar::Uint(value), Format::Hex) => write!(message, "{value:#x}"),
            (Scalar::Int(value), _) => write!(message, "{value}"),
            (Scalar::Uint(value), _) => write!(message, "{value}"),
            (Scalar::Float(value), _) => match self.decode {
                Decode::Float { single: true } => write!(message, "{:?}", to_single(*value)),
                _ => write!(message, "{value:?}"),
            },
            (Scalar::Bool(value), _) => write!(message, "{value}"),
            (Scalar::Text(text), Format::Quoted) => match self.decode {
                Decode::Pointer | Decode::Enum { .. } | Decode::Tree(_) => message.write_str(text),
                Decode::Char | Decode::ByteChar => message.write_str(&quoted(text, '\'')),
                _ => message.write_str(&quoted(text, '"')),
            },
            (Scalar::Text(text), _) => message.write_str(text),
            (Scalar::Absent { reason, .. }, _) => write!(message, "<{}>", reason.word()),
        };
    }
}

impl Decode {
    fn word(&self, word: u64) -> Scalar {
        match self {
            Decode::Int { .. } => Scalar::Int(word.cast_signed()),
            Decode::Bool => match word {
                0 | 1 => Scalar::Bool(word == 1),
                // No compiler writes that: memory that is no bool yet, or no longer.
                other => absent(Absence::Undefined, &format!("a bool that is {other}")),
            },
            Decode::ByteChar => Scalar::Text(readable(&[word.to_le_bytes()[0]], false)),
            Decode::Char => match u32::try_from(word).ok().and_then(char::from_u32) {
                Some(value) => Scalar::Text(value.to_string()),
                None => absent(
                    Absence::Undefined,
                    &format!("no character has the number {word:#x}"),
                ),
            },
            Decode::Float { .. } => Scalar::Float(f64::from_bits(word)),
            Decode::Pointer => Scalar::Text(format!("{word:#x}")),
            Decode::Constant(text) => Scalar::Text(text.clone()),
            Decode::Enum { signed, names } => {
                match names.iter().find(|(value, _)| *value == word) {
                    Some((_, name)) => Scalar::Text(name.clone()),
                    None if *signed => Scalar::Text(word.cast_signed().to_string()),
                    None => Scalar::Text(word.to_string()),
                }
            }
            _ => Scalar::Uint(word),
        }
    }
}

/// A tree that is one word or text, as that.
fn word_of(tree: &Value) -> Option<Scalar> {
    let pointed = tree.children.iter().find(|child| child.name == "*");
    if let Some(to) = pointed.filter(|to| tree.kind == Kind::Pointer && to.kind == Kind::String) {
        return word_of(to);
    }
    let text = tree.value.as_deref().filter(|_| tree.absent.is_none())?;
    Some(match tree.kind {
        Kind::Int => Scalar::Int(text.parse().ok()?),
        Kind::Uint => Scalar::Uint(text.parse().ok()?),
        Kind::Float => Scalar::Float(text.parse().ok()?),
        Kind::Bool => Scalar::Bool(text.parse().ok()?),
        Kind::String | Kind::Char => Scalar::Text(text.to_owned()),
        _ => return None,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the double was widened from this float"
)]
fn to_single(value: f64) -> f32 {
    value as f32
}

fn absent(reason: Absence, detail: &str) -> Scalar {
    Scalar::Absent {
        reason,
        detail: detail.to_owned(),
    }
}

/// What a reason of a program is to people.
pub(crate) fn fault(reason: Reason, address: u64) -> (Absence, String) {
    let (absence, detail) = match reason {
        Reason::Unreadable => return (Absence::Unreadable, format!("address {address:#x}")),
        Reason::Null => (Absence::Unreadable, "null pointer"),
        Reason::DivisionByZero => (Absence::Undefined, "division by zero"),
        Reason::OutOfRange => (Absence::Undefined, "out of range"),
        Reason::OptimizedOut => (Absence::OptimizedOut, ""),
        Reason::Budget => (Absence::Budget, "this hit has read as much as it may"),
        Reason::Unsupported => (Absence::Unsupported, ""),
        Reason::OtherVariant => (Absence::Undefined, "it is another variant"),
        Reason::NoRoom => (Absence::Size, "the record has no room left"),
    };
    (absence, detail.to_owned())
}
