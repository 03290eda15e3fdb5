use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Name;

/// A captured value under its name, as it travels in a batch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Field {
    /// Unique in its event.
    pub name: Name,
    /// The type as the program declares it, e.g. `unsigned int`; empty where none is known.
    #[serde(rename = "type", default)]
    pub type_name: Name,
    pub value: FieldValue,
}

/// A value or the reason why there is none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum FieldValue {
    #[serde(rename = "i")]
    Int(i64),
    #[serde(rename = "u")]
    Uint(u64),
    /// Non-finite numbers travel as the strings `NaN`, `inf` and `-inf`, which JSON cannot write.
    #[serde(
        rename = "f",
        serialize_with = "write_float",
        deserialize_with = "read_float"
    )]
    Float(f64),
    #[serde(rename = "b")]
    Bool(bool),
    /// Strings, characters, pointers (`0x…`), names of enumerators.
    #[serde(rename = "s")]
    Text(String),
    #[serde(rename = "absent")]
    Absent(Absent),
}

/// Why there is no value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Absent {
    pub reason: AbsentReason,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentReason {
    OptimizedOut,
    NotLive,
    Unreadable,
    Depth,
    Length,
    Size,
    Cycle,
    Redacted,
    Unsupported,
    Budget,
    /// Division by zero, an index out of range: the expression has no value.
    Undefined,
    #[serde(other)]
    Other,
}

impl AbsentReason {
    /// The word for it, as it stands in JSON and in messages.
    pub fn word(self) -> &'static str {
        match self {
            AbsentReason::OptimizedOut => "optimized_out",
            AbsentReason::NotLive => "not_live",
            AbsentReason::Unreadable => "unreadable",
            AbsentReason::Depth => "depth",
            AbsentReason::Length => "length",
            AbsentReason::Size => "size",
            AbsentReason::Cycle => "cycle",
            AbsentReason::Redacted => "redacted",
            AbsentReason::Unsupported => "unsupported",
            AbsentReason::Budget => "budget",
            AbsentReason::Undefined => "undefined",
            AbsentReason::Other => "other",
        }
    }
}

/// The largest integer that every JSON reader holds exactly.
const EXACT: u64 = 1 << 53;

impl FieldValue {
    /// The value as plain JSON for people and scripts: integers beyond 2^53 and non-finite
    /// numbers are strings, an absent value is `{"absent":{…}}`.
    pub fn to_plain_json(&self) -> serde_json::Value {
        match self {
            FieldValue::Int(value) if value.unsigned_abs() > EXACT => value.to_string().into(),
            FieldValue::Int(value) => (*value).into(),
            FieldValue::Uint(value) if *value > EXACT => value.to_string().into(),
            FieldValue::Uint(value) => (*value).into(),
            FieldValue::Float(value) if !value.is_finite() => value.to_string().into(),
            FieldValue::Float(value) => (*value).into(),
            FieldValue::Bool(value) => (*value).into(),
            FieldValue::Text(value) => value.clone().into(),
            FieldValue::Absent(absent) => serde_json::json!({ "absent": absent }),
        }
    }
}

fn write_float<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else {
        serializer.serialize_str(&value.to_string())
    }
}

fn read_float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(FloatVisitor)
}

/// A number, or the text of one that JSON cannot write. (An untagged enumeration would copy each
/// value before it looks at it.)
struct FloatVisitor;

impl serde::de::Visitor<'_> for FloatVisitor {
    type Value = f64;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a number, or NaN, inf or -inf as text")
    }

    fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    #[allow(clippy::cast_precision_loss, reason = "what JSON readers do")]
    fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    #[allow(clippy::cast_precision_loss, reason = "what JSON readers do")]
    fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_that_json_cannot_write_survive() {
        for value in [f64::INFINITY, f64::NEG_INFINITY, 1.5] {
            let text = serde_json::to_string(&FieldValue::Float(value)).unwrap();
            assert_eq!(
                serde_json::from_str::<FieldValue>(&text).unwrap(),
                FieldValue::Float(value)
            );
        }
        let text = serde_json::to_string(&FieldValue::Float(f64::NAN)).unwrap();
        let FieldValue::Float(back) = serde_json::from_str(&text).unwrap() else {
            panic!()
        };
        assert!(back.is_nan());
    }

    #[test]
    fn integers_beyond_two_to_the_53_are_strings_in_plain_json() {
        assert_eq!(
            FieldValue::Int(1 << 53).to_plain_json(),
            serde_json::json!(1i64 << 53)
        );
        assert_eq!(
            FieldValue::Uint(u64::MAX).to_plain_json(),
            "18446744073709551615"
        );
        assert_eq!(
            FieldValue::Int(i64::MIN).to_plain_json(),
            "-9223372036854775808"
        );
    }
}
