use super::super::{Part, PartAt};
use super::dynamic::{self, Vtable};
use super::vec::Span;
use super::{Contents, Look, Typed, is_of_library, text};
use crate::info::DieRef;
use crate::value::evaluate::Result;
use crate::value::fields::{Field, FieldAt};
use crate::value::object::Object;
use crate::value::shape::Shape;
use crate::value::tree::Absent;

/// How deep structures without a size of their own are nested in each other.
const MAX_NESTING: usize = 8;

/// What stands beside the address in a pointer to what has no size of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside {
    Length(u64),
    Vtable(Vtable),
}

/// A pointer of two words.
#[derive(Debug)]
pub(super) struct Fat {
    pub(super) address: u64,
    /// What the address is that of: an element, a structure, a `dyn Trait`.
    pub(super) of: Option<DieRef>,
    pub(super) beside: Beside,
}

/// `&str`, `&[T]`, `Box<dyn Trait>`, `&Path`, `*const T` of such.
pub(super) fn contents<'a>(look: &Look<'_, 'a>, object: &Typed) -> Result<Option<Contents<'a>>> {
    let name = look.name(object.of)?;
    let Some(target) = target_name(&name) else {
        return Ok(None);
    };
    let Some(fat) = read(look, object)? else {
        return Ok(None);
    };
    if name.starts_with("Box<") && !is_boxed(look, object)? {
        return Ok(None);
    }
    contents_behind(look, &fat, target).map(Some)
}

fn is_boxed(look: &Look<'_, '_>, object: &Typed) -> Result<bool> {
    let path = look.declared_as(object.of)?;
    Ok(&*path == "Box" || is_of_library(&path))
}

/// What a pointer to `target` reads as.
pub(super) fn contents_behind<'a>(
    look: &Look<'_, 'a>,
    fat: &Fat,
    target: &str,
) -> Result<Contents<'a>> {
    let at = behind(look, fat, target, 0)?;
    Ok(match at {
        // A pointer to text or elements reads as these.
        PartAt::Contents { contents, .. } if is_plain(&contents) => *contents,
        at => Contents::Pointer {
            address: fat.address,
            to: Some(at),
            parts: Vec::new(),
        },
    })
}

fn is_plain(contents: &Contents<'_>) -> bool {
    matches!(
        contents,
        Contents::Text { .. } | Contents::Sequence { .. } | Contents::Broken { .. }
    )
}

/// The type that a fat pointer leads to, as rustc writes it: `str` of `&str`.
fn target_name(name: &str) -> Option<&str> {
    for start in ["&mut ", "&", "*const ", "*mut "] {
        if let Some(target) = name.strip_prefix(start) {
            return Some(target);
        }
    }
    let is_box = ["alloc::boxed::Box<", "Box<"]
        .iter()
        .any(|start| name.starts_with(start));
    is_box.then(|| first_argument(name))
}

/// The first argument of a generic: `[u8]` of `Rc<[u8], Global>`.
pub(super) fn first_argument(name: &str) -> &str {
    let Some((_, arguments)) = name.split_once('<') else {
        return "";
    };
    let mut depth = 0usize;
    let mut before = ' ';
    for (at, c) in arguments.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            // An arrow ends nothing.
            '>' if before == '-' => {}
            ',' | '>' if depth == 0 => return &arguments[..at],
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
    }
    arguments
}

/// `None` where an object is no fat pointer.
pub(super) fn read(look: &Look<'_, '_>, object: &Typed) -> Result<Option<Fat>> {
    let pair = match look.member(object, "data_ptr")? {
        Some(data) => (Some(data), look.member(object, "length")?),
        None => (
            look.member(object, "pointer")?,
            look.member(object, "vtable")?,
        ),
    };
    let (Some(pointer), Some(beside)) = pair else {
        return Ok(None);
    };
    let Shape::Pointer(of) = look.shape(pointer.of)? else {
        return Ok(None);
    };
    let word = look.word(&beside)?;
    let beside = match look.shape(beside.of)? {
        Shape::Pointer(table) => Beside::Vtable(Vtable {
            address: word,
            words: match look.shape(table)? {
                Shape::Array { counts, .. } => counts.first().copied().flatten().unwrap_or(0),
                _ => 0,
            },
        }),
        _ => Beside::Length(word),
    };
    Ok(Some(Fat {
        address: look.word(&pointer)?,
        of,
        beside,
    }))
}

/// What a fat pointer leads to, which rustc calls `target`.
pub(super) fn behind<'a>(
    look: &Look<'_, 'a>,
    fat: &Fat,
    target: &str,
    depth: usize,
) -> Result<PartAt<'a>> {
    let told = |contents| PartAt::Contents {
        type_name: target.to_owned(),
        contents: Box::new(contents),
    };
    let len = match fat.beside {
        Beside::Vtable(vtable) => {
            if target.starts_with("dyn ") || target.starts_with("(dyn ") {
                return dynamic::object(look, fat.address, vtable);
            }
            return Ok(told(Contents::Parts(parts(look, fat, depth)?)));
        }
        Beside::Length(len) => len,
    };
    let span = Span {
        address: fat.address,
        len,
        wrong: None,
    };
    if target == "str" {
        return Ok(told(text::text(span.checked(), 0)));
    }
    if target.starts_with('[') {
        return Ok(told(span.sequence(look, fat.of)?));
    }
    let path = look.declared_as(fat.of)?;
    match path.rsplit("::").next() {
        Some("OsStr" | "Path") if is_of_library(&path) => Ok(told(text::text(span.checked(), 0))),
        // The last byte is the NUL.
        Some("CStr") if is_of_library(&path) => Ok(told(text::text(span.checked(), 1))),
        _ => Ok(told(Contents::Parts(parts(look, fat, depth)?))),
    }
}

/// The members of a structure of which the last has no size of its own.
fn parts<'a>(look: &Look<'_, 'a>, fat: &Fat, depth: usize) -> Result<Vec<Part<'a>>> {
    let Some(die) = look.structure(fat.of)? else {
        return Err(Absent::unsupported("what has no size, of an unknown form"));
    };
    if depth == MAX_NESTING {
        return Err(Absent::unsupported("structures without a size, nested"));
    }
    let fields = look.fields_of(die)?;
    let tail = tail_of(&fields);
    let mut parts = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let FieldAt::Bytes(offset) = field.at else {
            continue;
        };
        let at = match Some(index) == tail {
            true => tail_at(look, fat, field, offset, depth)?,
            false => PartAt::Object(Typed {
                of: field.of,
                object: Object::Memory(fat.address.wrapping_add(offset)),
            }),
        };
        let name = field.name.clone().unwrap_or_default();
        parts.push(Part { name, at });
    }
    Ok(parts)
}

/// The member that is last in memory.
fn tail_of(fields: &[Field<'_>]) -> Option<usize> {
    let mut last: Option<(usize, u64)> = None;
    for (index, field) in fields.iter().enumerate() {
        if let FieldAt::Bytes(offset) = field.at
            && last.is_none_or(|(_, most)| offset >= most)
        {
            last = Some((index, offset));
        }
    }
    last.map(|(index, _)| index)
}

fn tail_at<'a>(
    look: &Look<'_, 'a>,
    fat: &Fat,
    field: &Field<'a>,
    offset: u64,
    depth: usize,
) -> Result<PartAt<'a>> {
    let name = look.info.type_name(field.of);
    let is_nested =
        name.starts_with("dyn ") || name.starts_with("(dyn ") || is_unsized(look, field.of, depth)?;
    let offset = match fat.beside {
        Beside::Vtable(vtable) => {
            let align = dynamic::alignment(look, vtable)?.max(own_alignment(look, field.of)?);
            offset.wrapping_add(align - 1) & !(align - 1)
        }
        Beside::Length(_) => offset,
    };
    let inner = Fat {
        address: fat.address.wrapping_add(offset),
        of: field.of,
        beside: fat.beside,
    };
    // For a slice debug info has the type of its elements.
    let target = match is_nested {
        true => name,
        false => format!("[{name}]"),
    };
    behind(look, &inner, &target, depth + 1)
}

fn own_alignment(look: &Look<'_, '_>, of: Option<DieRef>) -> Result<u64> {
    let Some(die) = look.structure(of)? else {
        return Ok(1);
    };
    let told = look.info.die(die)?.udata(gimli::DW_AT_alignment);
    Ok(told.filter(|align| align.is_power_of_two()).unwrap_or(1))
}

/// Whether a structure ends in what has no size: its last member reaches over its end.
fn is_unsized(look: &Look<'_, '_>, of: Option<DieRef>, depth: usize) -> Result<bool> {
    let Some(die) = look.structure(of)? else {
        return Ok(false);
    };
    let fields = look.fields_of(die)?;
    let (Some(size), Some(tail)) = (look.size(of)?, tail_of(&fields)) else {
        return Ok(false);
    };
    let FieldAt::Bytes(offset) = fields[tail].at else {
        return Ok(false);
    };
    let of = fields[tail].of;
    let reaches = offset.saturating_add(look.size(of)?.unwrap_or(0)) > size;
    let is_dyn = look.info.type_name(of).starts_with("dyn ");
    Ok(reaches || is_dyn || depth < MAX_NESTING && is_unsized(look, of, depth + 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pointers_lead_to() {
        let check = |name, expected| assert_eq!(target_name(name), expected);
        check("&str", Some("str"));
        check("&mut [u8]", Some("[u8]"));
        check("*const dyn a::Trait", Some("dyn a::Trait"));
        check(
            "alloc::boxed::Box<[(u8, u8)], alloc::alloc::Global>",
            Some("[(u8, u8)]"),
        );
        check(
            "Box<dyn Fn(u8) -> Vec<u8>, A>",
            Some("dyn Fn(u8) -> Vec<u8>"),
        );
        check("Vec<str>", None);
    }
}
