use super::scope::Scope;
use super::stop::{Result, Stop};
use crate::error::CompileErrorKind;
use crate::expr::TypeName;
use crate::index::Kind;
use crate::info::{DieRef, Info, components};
use crate::types::{Shape, Target, Type};

impl Scope<'_> {
    /// The type that a cast names.
    pub(crate) fn named_type(&self, wanted: &TypeName) -> Result<Type> {
        let base = match built_in(&wanted.name) {
            Some(base) => base,
            None => match self.find_type(&wanted.name)? {
                Some(at) => self.info.type_at(at)?,
                None => {
                    return Err(Stop::Refused {
                        column: wanted.column,
                        kind: CompileErrorKind::UnknownType {
                            name: wanted.name.clone(),
                        },
                    });
                }
            },
        };
        let mut of = base;
        for _ in 0..wanted.pointers {
            let name = match of.name.ends_with('*') {
                true => format!("{}*", of.name),
                false => format!("{} *", of.name),
            };
            let target = match of.name.as_str() {
                "void" => Target::Void,
                _ => Target::Type(Box::new(of)),
            };
            of = Type::named(
                &name,
                Shape::Pointer {
                    target,
                    reference: false,
                },
            );
        }
        Ok(of)
    }

    pub(crate) fn find_type(&self, name: &str) -> Result<Option<DieRef>> {
        let (tags, path): (&[gimli::DwTag], &str) = match name.split_once(' ') {
            Some(("struct" | "class", rest)) => (
                &[gimli::DW_TAG_structure_type, gimli::DW_TAG_class_type],
                rest,
            ),
            Some(("union", rest)) => (&[gimli::DW_TAG_union_type], rest),
            Some(("enum", rest)) => (&[gimli::DW_TAG_enumeration_type], rest),
            _ => (&[], name),
        };
        let wanted = components(path);
        let mut elsewhere = None;
        let names = self.info.binary.names(&self.info);
        for at in names.candidates(path, Kind::Type) {
            if !tags.is_empty() && !tags.contains(&self.info.die(at)?.tag()) {
                continue;
            }
            if wanted.len() > 1 {
                let full = self.info.qualified_name(at)?;
                if !components(&full).ends_with(&wanted) {
                    continue;
                }
            }
            if Some(at.unit) == self.unit() {
                return Ok(Some(at));
            }
            elsewhere = elsewhere.or(Some(at));
        }
        Ok(elsewhere)
    }
}

impl Info<'_> {
    /// The enumerators of an enumeration: their values, extended by its sign, and names.
    pub(crate) fn enumerators(&self, at: DieRef) -> crate::info::Result<Vec<(u64, String)>> {
        let mut all = Vec::new();
        for die in self.children(at)? {
            if die.tag() != gimli::DW_TAG_enumerator {
                continue;
            }
            let value = match die.attr(gimli::DW_AT_const_value) {
                Some(gimli::AttributeValue::Sdata(value)) => value.cast_unsigned(),
                Some(value) => match value.udata_value() {
                    Some(value) => value,
                    None => continue,
                },
                None => continue,
            };
            if let Some(name) = self.own_name(&die) {
                all.push((value, name));
            }
        }
        Ok(all)
    }
}

fn built_in(name: &str) -> Option<Type> {
    let int = |bytes, signed| Some(Type::int(name, bytes, signed));
    let float = |bytes| Some(Type::named(name, Shape::Float { bytes }));
    match name {
        "u8" | "uint8_t" => int(1, false),
        "u16" | "uint16_t" => int(2, false),
        "u32" | "uint32_t" => int(4, false),
        "u64" | "usize" | "uint64_t" | "size_t" | "uintptr_t" => int(8, false),
        "i8" | "int8_t" => int(1, true),
        "i16" | "int16_t" => int(2, true),
        "i32" | "int32_t" => int(4, true),
        "i64" | "isize" | "int64_t" | "ssize_t" | "intptr_t" | "ptrdiff_t" => int(8, true),
        "f32" | "float" => float(4),
        "f64" | "double" => float(8),
        "bool" | "_Bool" => Some(Type::bool()),
        "char" => Some(Type::named(
            name,
            Shape::Char {
                bytes: 1,
                signed: true,
            },
        )),
        "void" => Some(Type::named(name, Shape::Other)),
        _ => words_of_c(name),
    }
}

/// `unsigned long int` and its like, in any order.
fn words_of_c(name: &str) -> Option<Type> {
    let (mut unsigned, mut long, mut short, mut char) = (false, false, false, false);
    for word in name.split(' ') {
        match word {
            "unsigned" => unsigned = true,
            "long" => long = true,
            "short" => short = true,
            "char" => char = true,
            "signed" | "int" => {}
            _ => return None,
        }
    }
    let bytes = match (char, short, long) {
        (true, false, false) => 1,
        (false, true, false) => 2,
        (false, false, true) => 8,
        (false, false, false) => 4,
        _ => return None,
    };
    Some(Type::int(name, bytes, !unsigned))
}
