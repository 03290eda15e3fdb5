//! Trees of what library types contain.

use super::evaluate::Result;
use super::library::{Contents, Part, PartAt, Typed, Walk};
use super::object::Object;
use super::reader::{Reader, Way, stops};
use super::text::{self, Unit};
use super::tree::{Absent, Kind, Reason, Value};

/// How many wrappers there may be around a value, those around what it is part of included: debug
/// info may have one that is around itself.
const MAX_WRAPPERS: usize = 64;

impl<'a> Reader<'_, 'a> {
    /// `value` with the contents of its object.
    pub(super) fn shown(
        &self,
        mut value: Value,
        contents: Contents<'a>,
        way: Way<'_>,
    ) -> Result<Value> {
        match contents {
            Contents::Text { at, bytes } => Ok(self.text(value, &at, Unit::Byte, bytes)),
            Contents::Wide { at, unit, units } => Ok(self.text(value, &at, unit, units)),
            Contents::Sequence { len, walk } => {
                value.kind = Kind::Sequence;
                Ok(self.elements(value, len, walk, way))
            }
            Contents::Map { len, walk } => {
                value.kind = Kind::Map;
                Ok(self.entries(value, len, walk, way))
            }
            Contents::Optional(holds) => {
                value.kind = Kind::Optional;
                value.value = Some(if holds.is_some() { "Some" } else { "None" }.to_owned());
                if let Some(holds) = holds {
                    self.push(&mut value, "0", &holds, way);
                }
                Ok(value)
            }
            Contents::Variant { name, holds } => {
                value.kind = Kind::Variant;
                value.value = Some(name);
                self.push(&mut value, "0", &holds, way);
                Ok(value)
            }
            Contents::Pointer { address, to, parts } => {
                value.kind = Kind::Pointer;
                value.value = Some(format!("{address:#x}"));
                self.pointer_to(value, to, parts, way)
            }
            Contents::State { name, parts } => {
                value.kind = Kind::Variant;
                value.value = Some(name);
                self.parts(&mut value, parts, way);
                Ok(value)
            }
            Contents::Itself(inner) => {
                if self.wrappers.get() == MAX_WRAPPERS {
                    return Err(Absent::unsupported("too many wrappers in each other"));
                }
                self.wrappers.set(self.wrappers.get() + 1);
                let whole = self.read(&value.name, inner.of, &inner.object, way);
                self.wrappers.set(self.wrappers.get() - 1);
                Ok(Value {
                    type_name: value.type_name,
                    ..whole
                })
            }
            Contents::Parts(parts) => {
                self.parts(&mut value, parts, way);
                Ok(value)
            }
            Contents::Scalar { kind, text } => {
                value.kind = kind;
                Ok(value.with(text))
            }
            Contents::Labelled { kind, text, parts } => {
                value.kind = kind;
                value.value = Some(text);
                self.parts(&mut value, parts, way);
                Ok(value)
            }
            Contents::Broken { kind, why } => {
                value.kind = kind;
                Ok(value.without(why))
            }
        }
    }

    fn text(&self, mut value: Value, at: &Object, unit: Unit, units: u64) -> Value {
        value.kind = Kind::String;
        text::counted(self.look.target, at, unit, units, &self.limits, value)
    }

    fn pointer_to(
        &self,
        mut value: Value,
        to: Option<PartAt<'a>>,
        parts: Vec<Part<'a>>,
        way: Way<'_>,
    ) -> Result<Value> {
        let further = way.owned(&self.limits);
        match to {
            Some(PartAt::Object(to)) if parts.is_empty() => {
                return self.pointee(value, to.of, &to.object, way, further);
            }
            // Beside other parts, what is pointed to keeps a node of its own, and so does what is
            // of another type than the pointer says.
            Some(at) => {
                if let Some(way) = further {
                    let name = "*".to_owned();
                    value.children.push(self.part(Part { name, at }, way));
                }
            }
            None => {}
        }
        self.parts(&mut value, parts, way);
        Ok(value)
    }

    fn elements(
        &self,
        mut value: Value,
        len: Option<u64>,
        mut walk: Box<dyn Walk<'a, Item = Typed> + 'a>,
        way: Way<'_>,
    ) -> Value {
        if len == Some(0) {
            return self.none(value, walk.next(&self.look).map(|first| first.is_some()));
        }
        let Some(way) = self.within(&mut value, len, way) else {
            return value;
        };
        let mut index = 0;
        loop {
            let next = match walk.next(&self.look) {
                Ok(Some(next)) => next,
                Ok(None) => return self.ended(value, index, len),
                Err(absent) => return value.without(absent),
            };
            if index == self.limits.items {
                return value.without(first_of(index, len));
            }
            let child = self.read(&index.to_string(), next.of, &next.object, way);
            let is_end = stops(&child);
            value.children.push(child);
            if is_end {
                return value;
            }
            index += 1;
        }
    }

    fn entries(
        &self,
        mut value: Value,
        len: Option<u64>,
        mut walk: Box<dyn Walk<'a, Item = (Typed, Typed)> + 'a>,
        way: Way<'_>,
    ) -> Value {
        if len == Some(0) {
            return self.none(value, walk.next(&self.look).map(|first| first.is_some()));
        }
        let Some(way) = self.within(&mut value, len, way) else {
            return value;
        };
        let mut index = 0;
        loop {
            let (key, held) = match walk.next(&self.look) {
                Ok(Some(next)) => next,
                Ok(None) => return self.ended(value, index, len),
                Err(absent) => return value.without(absent),
            };
            if index == self.limits.items {
                return value.without(first_of(index, len));
            }
            let key = self.read("key", key.of, &key.object, way);
            let name = match &key.value {
                Some(word) if key.children.is_empty() && key.absent.is_none() => Some(word.clone()),
                _ => None,
            };
            // A key that is one word names its value; another one stands beside it.
            let child = match name {
                Some(name) => self.read(&name, held.of, &held.object, way),
                None => {
                    let mut entry = Value::new(&index.to_string(), String::new(), Kind::Struct);
                    entry.children.push(key);
                    self.push(&mut entry, "value", &held, way);
                    entry
                }
            };
            let is_end = stops(&child);
            value.children.push(child);
            if is_end {
                return value;
            }
            index += 1;
        }
    }

    /// A walk that came to its end: whether it had as many as there should be.
    fn ended(&self, value: Value, told: usize, len: Option<u64>) -> Value {
        match len {
            Some(len) if len != told as u64 => {
                let detail = format!("it says that it has {len}, and has {told}");
                value.without(Absent::new(Reason::Length, detail))
            }
            _ => value,
        }
    }

    /// What says that it has nothing: whether that is so.
    fn none(&self, value: Value, has_one: Result<bool>) -> Value {
        match has_one {
            Ok(false) => value,
            Ok(true) => {
                let detail = "it says that it has 0, and has more";
                value.without(Absent::new(Reason::Length, detail))
            }
            Err(absent) => value.without(absent),
        }
    }

    /// One level further in; `None` where that is too deep, which the value then says.
    fn within<'w>(&self, value: &mut Value, len: Option<u64>, way: Way<'w>) -> Option<Way<'w>> {
        if way.depth >= self.limits.depth {
            let detail = len.map_or(String::new(), |len| format!("{len} elements"));
            value.absent = Some(Absent::new(Reason::Depth, detail));
            return None;
        }
        Some(way.deeper())
    }

    fn parts(&self, value: &mut Value, parts: Vec<Part<'a>>, way: Way<'_>) {
        let count = parts.len();
        if count > 0 && way.depth >= self.limits.depth {
            value.absent = Some(Absent::new(Reason::Depth, format!("{count} parts")));
            return;
        }
        for part in parts.into_iter().take(self.limits.fields) {
            value.children.push(self.part(part, way.deeper()));
        }
        if count > self.limits.fields {
            let detail = format!("first {} of {count}", self.limits.fields);
            value.absent = Some(Absent::new(Reason::Length, detail));
        }
    }

    fn part(&self, part: Part<'a>, way: Way<'_>) -> Value {
        let name = &part.name;
        match part.at {
            // What is owned may be of a class derived from what its owner says.
            PartAt::Object(typed) if name == "*" => self.pointed_to(typed.of, &typed.object, way).0,
            PartAt::Object(typed) => self.read(name, typed.of, &typed.object, way),
            PartAt::Dynamic { type_name, object } => Value {
                type_name,
                ..self.read(name, object.of, &object.object, way)
            },
            PartAt::Contents {
                type_name,
                contents,
            } => {
                let value = Value::new(name, type_name, Kind::Struct);
                match self.shown(value.clone(), *contents, way) {
                    Ok(value) => value,
                    Err(absent) => value.without(absent),
                }
            }
            PartAt::Scalar { kind, text } => Value::new(name, String::new(), kind).with(text),
            PartAt::Absent(absent) => {
                Value::new(name, String::new(), Kind::Unknown).without(absent)
            }
        }
    }

    fn push(&self, value: &mut Value, name: &str, typed: &Typed, way: Way<'_>) {
        if way.depth >= self.limits.depth {
            value.absent = Some(Absent::new(Reason::Depth, ""));
            return;
        }
        let child = self.read(name, typed.of, &typed.object, way.deeper());
        value.children.push(child);
    }
}

fn first_of(told: usize, len: Option<u64>) -> Absent {
    let detail = match len {
        Some(len) => format!("first {told} of {len}"),
        None => format!("first {told}"),
    };
    Absent::new(Reason::Length, detail)
}
