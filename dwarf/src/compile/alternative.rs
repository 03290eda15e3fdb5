use lr_probe::{Op, Reason};

use super::code::Code;
use super::scope::Scope;
use super::stop::{Result, Stop};
use super::value::{At, Value};
use super::variant::guarded;
use crate::expr::TypeName;
use crate::types::{Alternatives, Shape, Type};

impl Scope<'_> {
    pub(crate) fn alternatives_of(&self, value: &Value) -> Result<Option<Alternatives>> {
        match value.of.shape {
            Shape::Struct { die, .. } => Ok(self.info.alternatives(die)?),
            _ => Ok(None),
        }
    }

    /// `variant.0`, which fails where another one is held, and `variant.index`.
    pub(crate) fn alternative(
        &self,
        column: usize,
        value: &Value,
        name: &str,
    ) -> Result<Option<Value>> {
        let Some(all) = self.alternatives_of(value)? else {
            return Ok(None);
        };
        if name == "index" {
            let index = self.number_at(value, all.index.offset, all.index.bytes)?;
            // `variant_npos` is -1 in however many bytes.
            let index = index.extend(all.index.bytes, true);
            return Ok(Some(Value::word(Type::int("long", 8, true), index)));
        }
        let Ok(number) = name.parse::<usize>() else {
            return Ok(None);
        };
        if number >= all.types.len() {
            return Err(Stop::types(column, named(&all), format!("`.{name}`")));
        }
        self.held(value, &all, number).map(Some)
    }

    /// `variant as T`: what it holds, which fails where that is of another type.
    pub(crate) fn alternative_as(&self, value: &Value, wanted: &TypeName) -> Result<Option<Value>> {
        let Some(all) = self.alternatives_of(value)? else {
            return Ok(None);
        };
        let mut found: Vec<usize> = Vec::new();
        for (at, of) in all.types.iter().enumerate() {
            if wanted.pointers == 0 && (of.name == wanted.name || self.is_string(of, wanted)?) {
                found.push(at);
            }
        }
        if found.is_empty()
            && let Ok(like) = self.named_type(wanted)
        {
            for (at, of) in all.types.iter().enumerate() {
                if self.is_same(of, &like)? {
                    found.push(at);
                }
            }
        }
        match found[..] {
            [number] => self.held(value, &all, number).map(Some),
            _ => Err(Stop::types(
                wanted.column,
                named(&all),
                format!("`{}`", wanted.name),
            )),
        }
    }

    fn held(&self, value: &Value, all: &Alternatives, number: usize) -> Result<Value> {
        let At::Stored(storage) = &value.at else {
            return Err(Stop::unsupported(value.of.name.clone()));
        };
        let index = self.number_at(value, all.index.offset, all.index.bytes)?;
        let is_it = index.append(Code::constant(number as u64)).then(Op::Eq);
        let inner = self.inside(storage, all.offset, all.types[number].clone())?;
        let At::Stored(storage) = inner.at else {
            return Err(Stop::unsupported(value.of.name.clone()));
        };
        let guard = guarded(is_it, Reason::OtherVariant);
        Ok(Value::stored(inner.of, storage.behind(&guard)))
    }

    /// `std::string` is what everybody calls it and no debug info does.
    fn is_string(&self, of: &Type, wanted: &TypeName) -> Result<bool> {
        let Shape::Struct { die, .. } = of.shape else {
            return Ok(false);
        };
        Ok(matches!(wanted.name.as_str(), "std::string" | "string")
            && self.info.library_name(die)?.as_deref() == Some("basic_string")
            && of.name.contains("basic_string<char,"))
    }

    /// Whether two types are one: a structure may be described in several units.
    fn is_same(&self, of: &Type, other: &Type) -> Result<bool> {
        Ok(match (&of.shape, &other.shape) {
            (Shape::Struct { die, .. }, Shape::Struct { die: other, .. })
            | (Shape::Enum { die, .. }, Shape::Enum { die: other, .. }) => {
                die == other
                    || self.info.qualified_name(*die)? == self.info.qualified_name(*other)?
            }
            (of, other) => of == other,
        })
    }
}

fn named(all: &Alternatives) -> String {
    let names: Vec<&str> = all.types.iter().map(|of| of.name.as_str()).collect();
    format!(
        "an alternative, of 0 to {}: {}",
        names.len().saturating_sub(1),
        names.join(", ")
    )
}
