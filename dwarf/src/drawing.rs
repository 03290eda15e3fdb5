//! A value on one line, as messages have it.

use crate::text::quoted;
use crate::value::{Kind, Reason, Value};

/// Where a line is long enough.
const MAX_BYTES: usize = 4096;

impl Value {
    /// `{id: 1, tags: ["a", "b"]}`; what is not told is a reason in its place, or `…` where there
    /// was no room.
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        draw(self, &mut line);
        line
    }
}

fn draw(value: &Value, line: &mut String) {
    if line.len() > MAX_BYTES {
        // Once: what is around it is full as well.
        if !line.ends_with('…') {
            line.push('…');
        }
        return;
    }
    let text = value.value.as_deref();
    match value.kind {
        _ if text.is_none() && value.children.is_empty() && value.absent.is_some() => {
            reason(value, line);
        }
        Kind::Struct | Kind::Union if is_tuple(value) => list(value, ['(', ')'], line),
        Kind::Struct | Kind::Union => members(value, line),
        // Arrays of characters are text.
        Kind::String | Kind::Char | Kind::Array if text.is_some() => {
            let quote = if value.kind == Kind::Char { '\'' } else { '"' };
            line.push_str(&quoted(text.unwrap_or_default(), quote));
            if value.absent.is_some() {
                line.push('…');
            }
        }
        Kind::Array | Kind::Sequence => list(value, ['[', ']'], line),
        Kind::Map => entries(value, line),
        Kind::Optional | Kind::Variant => {
            line.push_str(text.unwrap_or_default());
            match value.children.first() {
                None => reason(value, line),
                Some(_) if is_tuple(value) => list(value, ['(', ')'], line),
                Some(_) => {
                    line.push(' ');
                    members(value, line);
                }
            }
        }
        Kind::Pointer => pointer(value, line),
        _ => {
            line.push_str(text.unwrap_or_default());
            reason(value, line);
        }
    }
}

fn pointer(value: &Value, line: &mut String) {
    let to = value.children.iter().find(|child| child.name == "*");
    if let Some(text) = to.filter(|to| to.kind == Kind::String && to.value.is_some()) {
        return draw(text, line);
    }
    line.push_str(value.value.as_deref().unwrap_or_default());
    if let Some(to) = to {
        line.push_str(" → ");
        draw(to, line);
    } else if !value.children.is_empty() {
        line.push_str(" → ");
        members(value, line);
    } else {
        reason(value, line);
    }
}

fn members(value: &Value, line: &mut String) {
    between(value, ['{', '}'], line, |child, line| {
        line.push_str(&child.name);
        line.push_str(": ");
        draw(child, line);
    });
}

fn list(value: &Value, ends: [char; 2], line: &mut String) {
    between(value, ends, line, draw);
}

fn entries(value: &Value, line: &mut String) {
    between(value, ['{', '}'], line, |child, line| {
        if let [key, held] = &child.children[..]
            && (key.name.as_str(), held.name.as_str()) == ("key", "value")
        {
            draw(key, line);
            line.push_str(": ");
            return draw(held, line);
        }
        line.push_str(&child.name);
        line.push_str(": ");
        draw(child, line);
    });
}

fn between(value: &Value, ends: [char; 2], line: &mut String, each: impl Fn(&Value, &mut String)) {
    line.push(ends[0]);
    for (index, child) in value.children.iter().enumerate() {
        if index > 0 {
            line.push_str(", ");
        }
        if line.len() > MAX_BYTES {
            line.push('…');
            break;
        }
        each(child, line);
    }
    if value.absent.is_some() && line.len() <= MAX_BYTES {
        if !value.children.is_empty() {
            line.push_str(", ");
        }
        reason(value, line);
    }
    line.push(ends[1]);
}

/// Why there is no value, or no more of it.
fn reason(value: &Value, line: &mut String) {
    match &value.absent {
        None => {}
        Some(absent) if matches!(absent.reason, Reason::Length | Reason::Depth) => line.push('…'),
        Some(absent) => {
            line.push('<');
            line.push_str(absent.reason.word());
            line.push('>');
        }
    }
}

fn is_tuple(value: &Value) -> bool {
    let mut names = value.children.iter().enumerate();
    !value.children.is_empty() && names.all(|(index, child)| child.name == index.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Absent;

    fn number(name: &str, value: &str) -> Value {
        Value::new(name, "int".to_owned(), Kind::Int).with(value)
    }

    fn of(kind: Kind, children: Vec<Value>) -> Value {
        let mut value = Value::new("v", String::new(), kind);
        value.children = children;
        value
    }

    #[test]
    fn structures_sequences_and_states_read_as_they_are_written() {
        let order = of(Kind::Struct, vec![number("id", "1"), number("n", "2")]);
        assert_eq!(order.one_line(), "{id: 1, n: 2}");
        let pair = of(Kind::Struct, vec![number("0", "1"), number("1", "2")]);
        assert_eq!(pair.one_line(), "(1, 2)");
        let list = of(Kind::Sequence, vec![number("0", "1"), pair]);
        assert_eq!(list.one_line(), "[1, (1, 2)]");
        let some = of(Kind::Optional, vec![number("0", "1")]).with("Some");
        assert_eq!(some.one_line(), "Some(1)");
        assert_eq!(of(Kind::Variant, Vec::new()).with("Off").one_line(), "Off");
        let circle = of(Kind::Variant, vec![number("radius", "1")]).with("Circle");
        assert_eq!(circle.one_line(), "Circle {radius: 1}");
        let map = of(Kind::Map, vec![number("a", "1")]);
        assert_eq!(map.one_line(), "{a: 1}");
    }

    #[test]
    fn what_is_missing_says_so_in_its_place() {
        let mut cut = of(Kind::Array, vec![number("0", "1")]);
        cut.absent = Some(Absent::new(Reason::Length, "first 1 of 9"));
        assert_eq!(cut.one_line(), "[1, …]");
        cut.absent = Some(Absent::new(Reason::Unreadable, ""));
        assert_eq!(cut.one_line(), "[1, <unreadable>]");
        let gone = of(Kind::Struct, Vec::new()).without(Absent::optimized_out(""));
        assert_eq!(gone.one_line(), "<optimized_out>");
    }

    #[test]
    fn a_line_ends_somewhere() {
        let long = vec![number("member", "1234567890"); 10_000];
        let line = of(Kind::Struct, long).one_line();
        assert!(
            line.len() < MAX_BYTES + 64 && line.ends_with("…}"),
            "{line}"
        );
    }
}
