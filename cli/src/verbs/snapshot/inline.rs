//! A value on one line, as a developer would write it.

use lr_protocol::{Absent, CapturedValue, ValueKind};

use crate::escape::escaped;
use crate::style::Style;

/// A value without its name: `{id: 1, tags: ["a", "b"]}`.
pub(super) fn inline(value: &CapturedValue, style: Style) -> String {
    let shown = body(value, style);
    match &value.absent {
        None => shown,
        Some(absent) if shown.is_empty() => reason(absent, style),
        Some(absent) => format!("{shown} {}", reason(absent, style)),
    }
}

/// Why a value, or the rest of it, is not there.
pub(super) fn reason(absent: &Absent, style: Style) -> String {
    let words = absent.reason.word().replace('_', " ");
    let text = match absent.detail.as_str() {
        "" => format!("<{words}>"),
        detail => format!("<{words}: {}>", escaped(detail)),
    };
    style.yellow(&text)
}

fn body(value: &CapturedValue, style: Style) -> String {
    let word = word(value);
    if value.children.is_empty() {
        return match (&value.value, &value.absent) {
            (Some(_), _) => word,
            (None, Some(_)) => String::new(),
            (None, None) => empty(value.kind).to_owned(),
        };
    }
    if value.kind == ValueKind::Pointer {
        let arrow = style.dim("→");
        let pointee = pointee(value, style);
        return match word.is_empty() {
            true => format!("{arrow} {pointee}"),
            false => format!("{word} {arrow} {pointee}"),
        };
    }
    let inner = group(value, style);
    match word.is_empty() {
        true => inner,
        // `Some(1)`, `Circle {radius: 2}`.
        false if inner.starts_with('(') => format!("{word}{inner}"),
        false => format!("{word} {inner}"),
    }
}

/// A value that is one word; empty of what has none.
pub(super) fn word(value: &CapturedValue) -> String {
    let Some(text) = &value.value else {
        return String::new();
    };
    match value.kind {
        ValueKind::String | ValueKind::Array => quoted(text, '"'),
        ValueKind::Char => quoted(text, '\''),
        _ => escaped(text).into_owned(),
    }
}

fn quoted(text: &str, quote: char) -> String {
    let text = escaped(text);
    match text.contains(quote) && text != "'" {
        true => format!(
            "{quote}{}{quote}",
            text.replace(quote, &format!("\\{quote}"))
        ),
        false => format!("{quote}{text}{quote}"),
    }
}

fn empty(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Array | ValueKind::Sequence => "[]",
        _ => "{}",
    }
}

/// What is behind a pointer: its members are the pointer's own unless it is of another type.
fn pointee(value: &CapturedValue, style: Style) -> String {
    let ([only], true) = (value.children.as_slice(), value.children[0].name == "*") else {
        return group(value, style);
    };
    let inner = inline(only, style);
    match is_named(value, only) {
        true => format!("{} {inner}", style.dim(&escaped(&only.type_name))),
        false => inner,
    }
}

/// Whether a pointee's type says more than the pointer's.
pub(super) fn is_named(pointer: &CapturedValue, pointee: &CapturedValue) -> bool {
    let declared = pointer.type_name.trim_end_matches([' ', '*', '&']);
    let is_structure = matches!(
        pointee.kind,
        ValueKind::Struct | ValueKind::Union | ValueKind::Unknown
    );
    // Owners of other languages and libraries are not called after what they own.
    let is_plain = pointer.type_name.ends_with(['*', '&']);
    // What is behind a trait of Rust is named by nothing else, whatever owns it.
    let is_dynamic = pointee.name == "*" && is_to_trait(&pointer.type_name);
    (is_dynamic || is_structure && is_plain)
        && !pointee.type_name.is_empty()
        && declared != pointee.type_name
}

/// `&dyn Trait`, `Pin<Box<dyn Trait>>`.
fn is_to_trait(type_name: &str) -> bool {
    let inner = type_name.strip_prefix("Pin<").unwrap_or(type_name);
    let references = ["&mut ", "&", "*const ", "*mut "];
    let referred = references
        .iter()
        .find_map(|start| inner.strip_prefix(start));
    let target = match (referred, inner.split_once('<')) {
        (Some(target), _) | (None, Some((_, target))) => target,
        (None, None) => return false,
    };
    target.starts_with("dyn ") || target.starts_with("(dyn ")
}

/// The members that people wrote: not the addresses of tables of virtual functions.
pub(super) fn members(value: &CapturedValue) -> Vec<&CapturedValue> {
    let is_own = |child: &&CapturedValue| !child.name.starts_with("_vptr");
    value.children.iter().filter(is_own).collect()
}

/// The children between their brackets.
fn group(value: &CapturedValue, style: Style) -> String {
    let (open, close) = brackets(value);
    let parts: Vec<String> = folded(&members(value))
        .into_iter()
        .map(|(child, times)| {
            let part = labelled(value, child, style);
            match times {
                1 => part,
                times => format!("{part} {}", style.dim(&format!("× {times}"))),
            }
        })
        .collect();
    format!("{open}{}{close}", parts.join(", "))
}

/// Elements with how often each is repeated: long runs of one value are told once.
pub(super) fn folded<'v>(children: &[&'v CapturedValue]) -> Vec<(&'v CapturedValue, usize)> {
    /// Shorter runs read better as they are.
    const MIN_RUN: usize = 8;
    let mut parts: Vec<(&CapturedValue, usize)> = Vec::new();
    let mut at = 0;
    while let Some(&child) = children.get(at) {
        let run = children[at..]
            .iter()
            .take_while(|other| is_index(&other.name) && is_equal(child, other))
            .count();
        match run {
            MIN_RUN.. => {
                parts.push((child, run));
                at += run;
            }
            _ => {
                parts.push((child, 1));
                at += 1;
            }
        }
    }
    parts
}

fn is_equal(one: &CapturedValue, other: &CapturedValue) -> bool {
    one.value == other.value
        && one.absent == other.absent
        && one.children == other.children
        && one.kind == other.kind
}

fn brackets(value: &CapturedValue) -> (&'static str, &'static str) {
    match value.kind {
        ValueKind::Array | ValueKind::Sequence => ("[", "]"),
        ValueKind::Map => ("{", "}"),
        _ if is_tuple(value) => ("(", ")"),
        _ => ("{", "}"),
    }
}

/// Whether the members are called 0, 1 and so on.
fn is_tuple(value: &CapturedValue) -> bool {
    let mut names = value.children.iter().enumerate();
    !value.children.is_empty() && names.all(|(index, child)| child.name == index.to_string())
}

fn is_index(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// A child as it stands between its parent's brackets.
pub(super) fn labelled(parent: &CapturedValue, child: &CapturedValue, style: Style) -> String {
    match label(parent, child, style) {
        Some(label) => format!("{label}{}", inline(held(parent, child), style)),
        None => inline(child, style),
    }
}

/// What stands before a child; none before elements.
pub(super) fn label(parent: &CapturedValue, child: &CapturedValue, style: Style) -> Option<String> {
    match parent.kind {
        ValueKind::Array | ValueKind::Sequence => None,
        ValueKind::Map => {
            let key = match entry(child) {
                Some((key, _)) => inline(key, style),
                None => escaped(&child.name).into_owned(),
            };
            Some(format!("{key} {} ", style.dim("→")))
        }
        _ if is_tuple(parent) => None,
        _ => Some(format!("{}: ", escaped(&child.name))),
    }
}

/// What a child of a map holds: keys that are more than a word stand beside their value.
pub(super) fn held<'v>(parent: &CapturedValue, child: &'v CapturedValue) -> &'v CapturedValue {
    match (parent.kind, entry(child)) {
        (ValueKind::Map, Some((_, value))) => value,
        _ => child,
    }
}

fn entry(child: &CapturedValue) -> Option<(&CapturedValue, &CapturedValue)> {
    match child.children.as_slice() {
        [key, value]
            if key.name == "key" && value.name == "value" && child.type_name.is_empty() =>
        {
            Some((key, value))
        }
        _ => None,
    }
}
