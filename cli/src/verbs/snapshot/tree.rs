//! A value on as many lines as it needs: one where it is short, a tree where it is long.

use lr_protocol::{CapturedValue, ValueKind};
use unicode_width::UnicodeWidthStr;

use super::inline::{folded, held, inline, is_named, label, members, reason, word};
use crate::escape::escaped;
use crate::style::Style;

/// Columns of a line, where no single word is longer.
const WIDTH: usize = 100;
/// The least of what is left for a value, however deep it is.
const MIN_WIDTH: usize = 30;

/// The lines of a variable: its name, its type and its value.
pub(super) fn variable(value: &CapturedValue, indent: usize, style: Style) -> Vec<String> {
    let name = escaped(&value.name);
    let head = |style: Style| match value.type_name.as_str() {
        "" => format!("{name} = "),
        of => format!("{name}{} = ", style.dim(&format!(": {}", escaped(of)))),
    };
    lines(
        head(Style::Plain).width(),
        &head(style),
        value,
        indent,
        style,
    )
}

/// The lines of a value behind its label, which takes so many columns.
fn lines(
    label_width: usize,
    label_text: &str,
    value: &CapturedValue,
    indent: usize,
    style: Style,
) -> Vec<String> {
    let margin = " ".repeat(indent);
    let room = WIDTH.saturating_sub(indent + label_width).max(MIN_WIDTH);
    if value.children.is_empty() || inline(value, Style::Plain).width() <= room {
        return vec![format!("{margin}{label_text}{}", inline(value, style))];
    }
    let (head, parent) = opened(value, style);
    let mut all = vec![format!("{margin}{label_text}{head}").trim_end().to_owned()];
    let absent = parent.absent.as_ref();
    match is_row(parent) {
        true => all.extend(rows(parent, indent + 2, style)),
        false => {
            for (child, times) in folded(&members(parent)) {
                all.extend(child_lines(parent, child, times, indent + 2, style));
            }
        }
    }
    if let Some(absent) = absent {
        all.push(format!("{margin}  {}", reason(absent, style)));
    }
    all
}

/// What stands on the line above a tree, and whose children are in the tree.
fn opened(value: &CapturedValue, style: Style) -> (String, &CapturedValue) {
    let own = word(value);
    match value.children.as_slice() {
        // What a pointer points to is its tree.
        [only] if only.name == "*" && !only.children.is_empty() && value.absent.is_none() => {
            let (inner, parent) = opened(only, style);
            let name = match is_named(value, only) {
                true => style.dim(&escaped(&only.type_name)),
                false => String::new(),
            };
            let parts = [own, style.dim("→"), name, inner];
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            (parts.join(" "), parent)
        }
        _ if value.kind == ValueKind::Pointer => {
            let arrow = style.dim("→");
            (format!("{own} {arrow}").trim_start().to_owned(), value)
        }
        _ => (own, value),
    }
}

fn child_lines(
    parent: &CapturedValue,
    child: &CapturedValue,
    times: usize,
    indent: usize,
    style: Style,
) -> Vec<String> {
    let index = |style: Style| style.dim(&format!("[{}] ", escaped(&child.name)));
    let text = |style: Style| match label(parent, child, style) {
        Some(label) => label,
        None => index(style),
    };
    let width = text(Style::Plain).width();
    let mut all = lines(width, &text(style), held(parent, child), indent, style);
    if let (2.., Some(last)) = (times, all.last_mut()) {
        last.push_str(&style.dim(&format!(" × {times}")));
    }
    all
}

/// Whether elements are words that stand side by side.
fn is_row(value: &CapturedValue) -> bool {
    let is_list = matches!(value.kind, ValueKind::Array | ValueKind::Sequence);
    let is_word = |child: &CapturedValue| child.children.is_empty() && child.absent.is_none();
    is_list && value.children.iter().all(is_word)
}

/// Words side by side, with the index of the first of each line.
fn rows(value: &CapturedValue, indent: usize, style: Style) -> Vec<String> {
    let room = WIDTH.saturating_sub(indent).max(MIN_WIDTH);
    let mut all: Vec<String> = Vec::new();
    let (mut line, mut width) = (String::new(), 0);
    for (child, times) in folded(&members(value)) {
        let text = |style: Style| match times {
            1 => inline(child, style),
            times => format!(
                "{} {}",
                inline(child, style),
                style.dim(&format!("× {times}"))
            ),
        };
        let long = text(Style::Plain).width();
        if width > 0 && width + long + 2 > room {
            all.push(std::mem::take(&mut line));
            width = 0;
        }
        if width == 0 {
            let index = format!("[{}] ", escaped(&child.name));
            line = format!("{}{}{}", " ".repeat(indent), style.dim(&index), text(style));
            width = index.width() + long;
        } else {
            line.push_str(", ");
            line.push_str(&text(style));
            width += 2 + long;
        }
    }
    all.push(line);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(value: Value, expected: &[&str]) {
        let value: CapturedValue = serde_json::from_value(value).unwrap();
        assert_eq!(variable(&value, 0, Style::Plain), expected);
    }

    fn int(name: &str, value: &str) -> Value {
        json!({"name": name, "type": "int", "kind": "int", "value": value})
    }

    fn ints(values: impl Iterator<Item = usize>) -> Vec<Value> {
        let named = values.enumerate();
        named
            .map(|(at, value)| int(&at.to_string(), &value.to_string()))
            .collect()
    }

    fn text(name: &str, value: &str) -> Value {
        json!({"name": name, "type": "String", "kind": "string", "value": value})
    }

    #[test]
    fn what_is_short_stands_on_one_line() {
        let tags = json!({"name": "tags", "type": "Vec<String>", "kind": "sequence",
            "children": [text("0", "a"), text("1", "b\"\n")]});
        check(
            json!({"name": "order", "type": "Order", "kind": "struct",
                "children": [int("id", "1"), tags]}),
            &[r#"order: Order = {id: 1, tags: ["a", "b\"\n"]}"#],
        );
        check(int("count", "-3"), &["count: int = -3"]);
        check(
            json!({"name": "letter", "type": "char", "kind": "char", "value": "x"}),
            &["letter: char = 'x'"],
        );
        check(
            json!({"name": "pair", "type": "(i32, i32)", "kind": "struct",
                "children": ints(5..7)}),
            &["pair: (i32, i32) = (5, 6)"],
        );
        check(
            json!({"name": "none", "type": "int[0]", "kind": "array"}),
            &["none: int[0] = []"],
        );
        check(
            json!({"name": "e", "type": "struct e", "kind": "struct"}),
            &["e: struct e = {}"],
        );
    }

    #[test]
    fn reasons_stand_where_values_would() {
        let absent = |reason: &str, detail: &str| json!({"reason": reason, "detail": detail});
        check(
            json!({"name": "tmp", "type": "long",
                "absent": absent("optimized_out", "live at lines 12–19")}),
            &["tmp: long = <optimized out: live at lines 12–19>"],
        );
        check(
            json!({"name": "many", "type": "int[4096]", "kind": "array", "children": ints(0..2),
                "absent": absent("length", "first 2 of 4096")}),
            &["many: int[4096] = [0, 1] <length: first 2 of 4096>"],
        );
        check(
            json!({"name": "o", "type": "struct order *", "kind": "pointer", "value": "0x10",
                "absent": absent("unreadable", "no memory at 0x10")}),
            &["o: struct order * = 0x10 <unreadable: no memory at 0x10>"],
        );
    }

    #[test]
    fn options_variants_maps_and_pointers() {
        let with = |kind: &str, word: &str, children: Vec<Value>| json!({"name": "x", "type": "X", "kind": kind, "value": word, "children": children});
        check(with("optional", "None", vec![]), &["x: X = None"]);
        check(
            with("optional", "Some", vec![int("0", "7")]),
            &["x: X = Some(7)"],
        );
        check(
            with("variant", "Circle", vec![int("radius", "2")]),
            &["x: X = Circle {radius: 2}"],
        );
        check(
            json!({"name": "x", "type": "X", "kind": "map", "children": [int("a", "1"),
                {"name": "1", "type": "", "kind": "struct", "children": [
                    {"name": "key", "type": "(i32, i32)", "kind": "struct",
                     "children": ints(3..5)},
                    int("value", "9")]}]}),
            &["x: X = {a → 1, (3, 4) → 9}"],
        );
        check(
            with("pointer", "0x20", vec![int("*", "5")]),
            &["x: X = 0x20 → 5"],
        );
        check(
            with("pointer", "0x20", vec![int("id", "5")]),
            &["x: X = 0x20 → {id: 5}"],
        );
        let table = json!({"name": "_vptr.Animal", "type": "?", "kind": "pointer", "value": "0x9"});
        check(
            json!({"name": "x", "type": "Animal *", "kind": "pointer", "value": "0x20",
                "children": [{"name": "*", "type": "Dog", "kind": "struct",
                    "children": [table, int("bones", "12")]}]}),
            &["x: Animal * = 0x20 → Dog {bones: 12}"],
        );
        for (owner, shown) in [
            ("Pin<alloc::boxed::Box<dyn a::Shape>>", "a::Circle {r: 1}"),
            ("&Vec<alloc::boxed::Box<dyn a::Shape>>", "{r: 1}"),
        ] {
            check(
                json!({"name": "x", "type": owner, "kind": "pointer", "value": "0x20",
                    "children": [{"name": "*", "type": "a::Circle", "kind": "struct",
                        "children": [int("r", "1")]}]}),
                &[&format!("x: {owner} = 0x20 → {shown}")],
            );
        }
    }

    #[test]
    fn what_is_long_is_a_tree() {
        let long = "a long line of text, ".repeat(4);
        check(
            json!({"name": "order", "type": "struct order *", "kind": "pointer", "value": "0x30",
                "children": [int("id", "1"), text("note", &long),
                    {"name": "list", "type": "int[40]", "kind": "array", "children": ints(100..140)},
                    {"name": "zeros", "type": "int[64]", "kind": "array",
                     "children": ints(std::iter::repeat_n(0, 64))},
                    {"name": "next", "type": "struct order *", "kind": "pointer", "value": "0x0"}],
                "absent": {"reason": "length", "detail": "first 5 of 9"}}),
            &[
                "order: struct order * = 0x30 →",
                "  id: 1",
                &format!("  note: \"{long}\""),
                "  list:",
                "    [0] 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117",
                "    [18] 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135",
                "    [36] 136, 137, 138, 139",
                "  zeros: [0 × 64]",
                "  next: 0x0",
                "  <length: first 5 of 9>",
            ],
        );
    }

    #[test]
    fn elements_that_are_trees_have_their_index() {
        let order = |at: &str| {
            json!({"name": at, "type": "Order", "kind": "struct",
                "children": [text("note", &"x".repeat(60)), int("id", at)]})
        };
        check(
            json!({"name": "orders", "type": "Vec<Order>", "kind": "sequence",
                "children": [order("0"), order("1")]}),
            &[
                "orders: Vec<Order> =",
                &format!("  [0] {{note: \"{}\", id: 0}}", "x".repeat(60)),
                &format!("  [1] {{note: \"{}\", id: 1}}", "x".repeat(60)),
            ],
        );
    }
}
