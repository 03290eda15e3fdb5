use lr_protocol::{Absent, CapturedValue, ValueKind};

/// The longest path; a deep tree of long names would otherwise take its size many times over.
const MAX_PATH: usize = 1024;

/// A row of `captured`: something of a tree that has a value or a reason, or nothing in it.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    /// As an expression would name it: `order.items[2].name`.
    pub(super) path: String,
    pub(super) type_name: &'a str,
    /// None where nothing is known of it.
    pub(super) kind: Option<&'static str>,
    pub(super) text: Option<&'a str>,
    pub(super) i: Option<i64>,
    pub(super) u: Option<u64>,
    pub(super) f: Option<f64>,
    pub(super) absent: Option<&'a Absent>,
}

/// The leaves of a tree, in its order. How deep it is, the reader of JSON bounds.
pub(super) fn leaves(value: &CapturedValue) -> Vec<Leaf<'_>> {
    let mut found = Vec::new();
    let path = bounded(value.name.clone());
    add(&mut found, value, path.clone(), &path);
    found
}

/// `base` is what its members are written after.
fn add<'a>(found: &mut Vec<Leaf<'a>>, value: &'a CapturedValue, path: String, base: &str) {
    for child in &value.children {
        if child.name == "*" && value.kind == ValueKind::Pointer {
            let (pointee, base) = pointee_paths(child, &path, base);
            add(found, child, bounded(pointee), &base);
        } else {
            let child_path = bounded(child_path(value, child, base));
            add(found, child, child_path.clone(), &child_path);
        }
    }
    if value.children.is_empty() || value.value.is_some() || value.absent.is_some() {
        found.push(leaf(value, path));
    }
}

/// Members of what is pointed to are written as those of the pointer: `.` follows pointers.
fn pointee_paths(pointee: &CapturedValue, pointer: &str, base: &str) -> (String, String) {
    let path = format!("*{pointer}");
    let base = match pointee.kind {
        ValueKind::Array | ValueKind::Sequence | ValueKind::Map | ValueKind::Pointer => {
            format!("({path})")
        }
        _ => base.to_owned(),
    };
    (path, base)
}

fn child_path(parent: &CapturedValue, child: &CapturedValue, path: &str) -> String {
    let name = &child.name;
    match parent.kind {
        ValueKind::Array | ValueKind::Sequence => format!("{path}[{name}]"),
        ValueKind::Map if name.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{path}[{name}]")
        }
        ValueKind::Map => format!("{path}[{}]", serde_json::Value::from(name.as_str())),
        ValueKind::Optional | ValueKind::Variant => match &parent.value {
            Some(variant) => format!("{path}.{variant}.{name}"),
            None => format!("{path}.{name}"),
        },
        _ => format!("{path}.{name}"),
    }
}

fn leaf(value: &CapturedValue, path: String) -> Leaf<'_> {
    let text = value.value.as_deref();
    let integer = matches!(value.kind, ValueKind::Int | ValueKind::Uint);
    let number = integer || value.kind == ValueKind::Float;
    Leaf {
        path,
        type_name: &value.type_name,
        kind: Some(value.kind.word()).filter(|_| value.kind != ValueKind::Unknown),
        text,
        i: text.filter(|_| integer).and_then(|text| text.parse().ok()),
        u: text.filter(|_| integer).and_then(|text| text.parse().ok()),
        f: text.filter(|_| number).and_then(|text| text.parse().ok()),
        absent: value.absent.as_ref(),
    }
}

fn bounded(mut path: String) -> String {
    if path.len() > MAX_PATH {
        let end = path.floor_char_boundary(MAX_PATH);
        path.truncate(end);
        path.push('…');
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(tree: Value, expected: &[(&str, Option<&str>)]) {
        let tree: CapturedValue = serde_json::from_value(tree).unwrap();
        let found = leaves(&tree);
        let found: Vec<_> = found
            .iter()
            .map(|leaf| (leaf.path.as_str(), leaf.text))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn members_and_elements() {
        let item = json!({"name": "2", "kind": "struct", "children":
            [{"name": "name", "kind": "string", "value": "ink"}]});
        check(
            json!({"name": "order", "kind": "pointer", "value": "0x7f", "children": [
                {"name": "id", "kind": "int", "value": "-1"},
                {"name": "items", "kind": "sequence", "children": [item]},
                {"name": "none", "kind": "array", "children": []},
            ]}),
            &[
                ("order.id", Some("-1")),
                ("order.items[2].name", Some("ink")),
                ("order.none", None),
                ("order", Some("0x7f")),
            ],
        );
    }

    #[test]
    fn what_pointers_point_to() {
        check(
            json!({"name": "p", "kind": "pointer", "value": "0x7f", "children": [
                {"name": "*", "kind": "int", "value": "5"}]}),
            &[("*p", Some("5")), ("p", Some("0x7f"))],
        );
        check(
            json!({"name": "p", "kind": "pointer", "value": "0x7f", "children": [
                {"name": "*", "kind": "struct", "children": [{"name": "x", "kind": "int", "value": "5"}]},
                {"name": "strong", "kind": "uint", "value": "2"}]}),
            &[
                ("p.x", Some("5")),
                ("p.strong", Some("2")),
                ("p", Some("0x7f")),
            ],
        );
        check(
            json!({"name": "p", "kind": "pointer", "value": "0x7f", "children": [
                {"name": "*", "kind": "array", "children": [{"name": "0", "kind": "int", "value": "5"}]}]}),
            &[("(*p)[0]", Some("5")), ("p", Some("0x7f"))],
        );
        check(
            json!({"name": "p", "kind": "pointer", "value": "0x7f", "children": [
                {"name": "*", "kind": "pointer", "value": "0x8f", "children": [
                    {"name": "*", "kind": "struct", "children": [{"name": "x", "kind": "int", "value": "5"}]}]}]}),
            &[
                ("(*p).x", Some("5")),
                ("*p", Some("0x8f")),
                ("p", Some("0x7f")),
            ],
        );
    }

    #[test]
    fn entries_and_alternatives() {
        check(
            json!({"name": "m", "kind": "map", "children": [
                {"name": "a\"b", "kind": "int", "value": "1"},
                {"name": "7", "kind": "int", "value": "2"},
                {"name": "0", "kind": "struct", "children": [{"name": "key", "kind": "int", "value": "3"}]}]}),
            &[
                (r#"m["a\"b"]"#, Some("1")),
                ("m[7]", Some("2")),
                ("m[0].key", Some("3")),
            ],
        );
        check(
            json!({"name": "o", "kind": "optional", "value": "Some", "children": [
                {"name": "0", "kind": "float", "value": "1.5"}]}),
            &[("o.Some.0", Some("1.5")), ("o", Some("Some"))],
        );
    }

    #[test]
    fn numbers_are_typed_and_reasons_kept() {
        let tree = |kind: &str, text: &str| {
            serde_json::from_value::<CapturedValue>(
                json!({"name": "x", "kind": kind, "value": text}),
            )
            .unwrap()
        };
        let typed = |kind, text| {
            let tree = tree(kind, text);
            let leaf = &leaves(&tree)[0];
            (leaf.i, leaf.u, leaf.f)
        };
        assert_eq!(typed("int", "-3"), (Some(-3), None, Some(-3.0)));
        let most = u64::MAX.to_string();
        assert_eq!(
            typed("uint", &most),
            (None, Some(u64::MAX), Some(18446744073709551615.0))
        );
        assert_eq!(typed("float", "1.5"), (None, None, Some(1.5)));
        assert_eq!(typed("string", "5"), (None, None, None));
        let absent: CapturedValue = serde_json::from_value(
            json!({"name": "x", "kind": "int", "absent": {"reason": "not_live", "detail": "d"}}),
        )
        .unwrap();
        assert_eq!(leaves(&absent)[0].absent.unwrap().detail, "d");
    }

    #[test]
    fn a_path_does_not_grow_without_bound() {
        let mut tree = json!({"name": "x".repeat(4000), "kind": "int", "value": "1"});
        for _ in 0..20 {
            tree = json!({"name": "é".repeat(4000), "kind": "struct", "children": [tree]});
        }
        let tree: CapturedValue = serde_json::from_value(tree).unwrap();
        assert!(leaves(&tree)[0].path.len() <= MAX_PATH + 3);
    }
}
