use lr_protocol::{Field, FieldValue};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// The column that holds the values of the fields of a log, by name. Written piece by piece: a tree
/// of JSON for each row was the dearest part of storing it.
pub(super) fn values(fields: &[Field]) -> String {
    let mut values = Vec::with_capacity(32 * fields.len() + 2);
    values.push(b'{');
    for (index, field) in distinct(fields).enumerate() {
        if index > 0 {
            values.push(b',');
        }
        push(&mut values, &field.name);
        values.push(b':');
        push_exact(&mut values, &field.value);
    }
    values.push(b'}');
    text(values)
}

/// The column beside it: a letter for the kind with the declared type for each, in the same order.
pub(super) fn types(fields: &[Field]) -> String {
    let mut types = Vec::with_capacity(32 * fields.len() + 2);
    types.push(b'[');
    for (index, field) in distinct(fields).enumerate() {
        if index > 0 {
            types.push(b',');
        }
        push(&mut types, &Kind(letter(&field.value), &field.type_name));
    }
    types.push(b']');
    text(types)
}

/// Whether [`types`] are the same of both.
pub(super) fn are_alike(some: &[Field], others: &[Field]) -> bool {
    let alike = |(one, other): (&Field, &Field)| {
        one.name == other.name
            && one.type_name == other.type_name
            && letter(&one.value) == letter(&other.value)
    };
    some.len() == others.len() && some.iter().zip(others).all(alike)
}

/// A name that came before is left out: the columns must stay in step.
fn distinct(fields: &[Field]) -> impl Iterator<Item = &Field> {
    let is_first = |(index, field): &(usize, &Field)| {
        let earlier = &fields[..*index];
        !earlier.iter().any(|earlier| earlier.name == field.name)
    };
    fields
        .iter()
        .enumerate()
        .filter(is_first)
        .map(|(_, field)| field)
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

/// The plain form for people and scripts of what [`values`] stored.
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
            name: name.into(),
            type_name: "unsigned long".into(),
            value,
        };
        let fields = [
            field("$big", FieldValue::Uint(u64::MAX)),
            field("a.b", FieldValue::Int(-1)),
            field("$big", FieldValue::Int(7)),
        ];
        let values = values(&fields);
        assert_eq!(values, r#"{"$big":18446744073709551615,"a.b":-1}"#);
        assert_eq!(types(&fields), r#"["u:unsigned long","i:unsigned long"]"#);
        assert_eq!(super::values(&[]), "{}");
        assert_eq!(types(&[]), "[]");
        let plain = plain(&values);
        assert_eq!(plain["$big"], "18446744073709551615");
        assert_eq!(plain["a.b"], -1);
    }

    #[test]
    fn fields_are_alike_whose_types_are_the_same() {
        let field = |name: &str, type_name: &str, value| Field {
            name: name.into(),
            type_name: type_name.into(),
            value,
        };
        let one = [field("n", "int", FieldValue::Int(1))];
        assert!(are_alike(&one, &[field("n", "int", FieldValue::Int(2))]));
        for other in [
            field("m", "int", FieldValue::Int(1)),
            field("n", "long", FieldValue::Int(1)),
            field("n", "int", FieldValue::Uint(1)),
        ] {
            assert!(!are_alike(&one, &[other]));
        }
        assert!(!are_alike(&one, &[]));
    }
}
