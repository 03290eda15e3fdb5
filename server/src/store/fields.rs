use lr_protocol::{Field, FieldValue};
use serde_json::{Map, Value, json};

/// The two columns that hold the fields of a log: names to plain values, and a letter for the
/// kind with the declared type for each, in the same order.
pub(super) fn columns(fields: &[Field]) -> (String, String) {
    let mut values = Map::with_capacity(fields.len());
    let mut types = Vec::with_capacity(fields.len());
    for field in fields {
        // A name that came before is kept: the columns must stay in step.
        if values.contains_key(&field.name) {
            continue;
        }
        values.insert(field.name.clone(), exact(&field.value));
        types.push(format!("{}:{}", letter(&field.value), field.type_name));
    }
    (
        Value::Object(values).to_string(),
        Value::from(types).to_string(),
    )
}

/// The value as JSON that keeps integers exact, which our own database reads as such.
fn exact(value: &FieldValue) -> Value {
    match value {
        FieldValue::Int(value) => (*value).into(),
        FieldValue::Uint(value) => (*value).into(),
        FieldValue::Float(value) if !value.is_finite() => value.to_string().into(),
        FieldValue::Float(value) => (*value).into(),
        FieldValue::Bool(value) => (*value).into(),
        FieldValue::Text(value) => value.clone().into(),
        FieldValue::Absent(absent) => json!({ "absent": absent }),
    }
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
        let plain = plain(&values);
        assert_eq!(plain["$big"], "18446744073709551615");
        assert_eq!(plain["a.b"], -1);
    }
}
