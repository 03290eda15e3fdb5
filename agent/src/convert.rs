//! The only place where types of `dwarf` become types of the wire.

use lr_dwarf::{Absence, CompileError, LocateError, LocationSyntax, RenderedField, Scalar};
use lr_protocol::{Absent, AbsentReason, Field, FieldValue, StatusError};

pub(crate) fn field(field: RenderedField) -> Field {
    Field {
        name: field.name,
        type_name: field.type_name,
        value: value(field.value),
    }
}

fn value(scalar: Scalar) -> FieldValue {
    match scalar {
        Scalar::Int(value) => FieldValue::Int(value),
        Scalar::Uint(value) => FieldValue::Uint(value),
        Scalar::Float(value) => FieldValue::Float(value),
        Scalar::Bool(value) => FieldValue::Bool(value),
        Scalar::Text(value) => FieldValue::Text(value),
        Scalar::Absent { reason, detail } => FieldValue::Absent(Absent {
            reason: absence(reason),
            detail,
        }),
    }
}

fn absence(reason: Absence) -> AbsentReason {
    match reason {
        Absence::OptimizedOut => AbsentReason::OptimizedOut,
        Absence::NotLive => AbsentReason::NotLive,
        Absence::Unreadable => AbsentReason::Unreadable,
        Absence::Unsupported => AbsentReason::Unsupported,
        Absence::Budget => AbsentReason::Budget,
        Absence::Undefined => AbsentReason::Undefined,
        Absence::Size => AbsentReason::Size,
    }
}

pub(crate) fn location_syntax(error: &LocationSyntax) -> StatusError {
    StatusError {
        code: error.code().to_owned(),
        refers_to: "location".to_owned(),
        message: error.to_string(),
        suggestions: error.suggestions(),
    }
}

pub(crate) fn locate_error(error: &LocateError) -> StatusError {
    StatusError {
        code: error.code().to_owned(),
        refers_to: error.refers_to().to_owned(),
        message: error.to_string(),
        suggestions: error.suggestions(),
    }
}

pub(crate) fn compile_error(error: &CompileError) -> StatusError {
    StatusError {
        code: error.code().to_owned(),
        refers_to: error.refers_to().to_owned(),
        message: error.to_string(),
        suggestions: error.suggestions(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_word() {
        for reason in [
            Absence::OptimizedOut,
            Absence::NotLive,
            Absence::Unreadable,
            Absence::Unsupported,
            Absence::Budget,
            Absence::Undefined,
            Absence::Size,
        ] {
            assert_eq!(absence(reason).word(), reason.word());
        }
    }

    #[test]
    fn a_field_keeps_name_type_and_value() {
        let rendered = RenderedField {
            name: "id".to_owned(),
            type_name: "unsigned long".to_owned(),
            value: Scalar::Uint(u64::MAX),
        };
        let field = field(rendered);
        assert_eq!(
            (field.name.as_str(), field.type_name.as_str()),
            ("id", "unsigned long")
        );
        assert_eq!(field.value, FieldValue::Uint(u64::MAX));
    }
}
