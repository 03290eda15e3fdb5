use lr_protocol::{Field, FieldValue};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// The two columns that hold the fields of a log: names to plain values, and a letter for the
/// kind with the declared type for each, in the same order. Written piece by piece: a tree of JSON
/// for each row was the dearest part of storing it.
pub(super) fn columns(fields: &[Field]) -> (String, String) {
    let mut values = Vec::with_capacity(32 * fields.len() + 2);
    let mut types = Vec::with_capacity(32 * fields.len() + 2);
    values.push(b'{');
    types.push(b'[');
    for (index, field) in fields.iter().enumerate() {
        // A name that came before is kept: the columns must stay in step.
        let same = |earlier: &Field| earlier.name == field.name;
        if fields[..index].iter().any(same) {
            continue;
        }
        if index > 0 {
            values.push(b',');
            types.push(b',');
        }
        push(&mut values, &field.name);
        values.push(b':');
        push_exact(&mut values, &field.value);
        push(&mut types, &Kind(letter(&field.value), &field.type_name));
    }
    values.push(b'}');
    types.push(b']');
    (text(values), text(types))
}

fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).expect("serde_json writes UTF-8")
}

/// A kind's letter, `:`, and the type as declared.
struct Kind<'a>(char, &'a str);

impl Serialize for Kind<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:{}", self.0, self.1))
    }
}

/// The value as JSON that keeps integers exact, which our own database reads as such.
fn push_exact(out: &mut Vec<u8>, value: &FieldValue) {
    match value {
        FieldValue::Int(value) => push(out, value),
        FieldValue::Uint(value) => push(out, value),
        FieldValue::Float(value) if !value.is_finite() => push(out, &value.to_string()),
        FieldValue::Float(value) => push(out, value),
        FieldValue::Bool(value) => push(out, value),
        FieldValue::Text(value) => push(out, value),
        FieldValue::Absent(absent) => push(out, &json!({ "absent": absent })),
    }
}

fn push(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Neither the values nor a vector can fail.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}

fn letter(value: &FieldValue) -> char {
    match value {
        FieldValue::Int(_) => 'i',
        FieldValue::Uint(_) => 'u',
        FieldValue::Float(_) => 'f',
        FieldValue::Bool(_) => 'b',
        FieldValue::Text(_) => 's',
        FieldValue::Absent(_) => 'a',
    }
}

/// The plain form for people and scripts of what [`columns`] stored.
pub(super) fn plain(stored: &str) -> Map<String, Value> {
    let Ok(Value::Object(fields)) = serde_json::from_str(stored) else {
        return Map::new();
    };
    fields
        .into_iter()
        .map(|(name, value)| (name, inexact_to_text(value)))
        .collect()
}

/// Integers beyond 2^53 as strings, at any depth.
pub(super) fn inexact_to_text(value: Value) -> Value {
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Number(number) => {
            let exact = number
                .as_u64()
                .map(|value| value <= EXACT)
                .or_else(|| number.as_i64().map(|value| value.unsigned_abs() <= EXACT));
            match exact {
                Some(false) => Value::String(number.to_string()),
                _ => Value::Number(number),
            }
        }
        Value::Array(values) => values.into_iter().map(inexact_to_text).collect(),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, inexact_to_text(value)))
                .collect(),
        ),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_integers_stay_exact_in_store_and_become_text_for_scripts() {
        let field = |name: &str, value| Field {
            name: name.to_owned(),
            type_name: "unsigned long".to_owned(),
            value,
        };
        let (values, types) = columns(&[
            field("$big", FieldValue::Uint(u64::MAX)),
            field("a.b", FieldValue::Int(-1)),
            field("$big", FieldValue::Int(7)),
        ]);
        assert_eq!(values, r#"{"$big":18446744073709551615,"a.b":-1}"#);
        assert_eq!(types, r#"["u:unsigned long","i:unsigned long"]"#);
        assert_eq!(columns(&[]), ("{}".to_owned(), "[]".to_owned()));
        let plain = plain(&values);
        assert_eq!(plain["$big"], "18446744073709551615");
        assert_eq!(plain["a.b"], -1);
    }
}
