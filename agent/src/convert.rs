//! The only place where types of `dwarf` become types of the wire.

use lr_dwarf::{
    Absence, CompileError, DropReason, FileAddr, Kind, LoadBias, LocateError, LocationSyntax,
    Reason, RenderedField, Scalar,
};
use lr_protocol::{
    Absent, AbsentReason, CapturedValue, ExplainedVariable, Field, FieldValue, LineRange,
    PiecePlace, Residence, StatusError, ValueKind, VariableKind,
};

pub(crate) fn field(field: RenderedField) -> Field {
    Field {
        name: field.name.into(),
        type_name: field.type_name.into(),
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

pub(crate) fn captured(value: lr_dwarf::Value) -> CapturedValue {
    let is_something = value.value.is_some() || !value.children.is_empty();
    let is_lost = value.absent.as_ref().is_some_and(is_loss);
    CapturedValue {
        name: value.name,
        type_name: value.type_name,
        kind: match is_something || !is_lost {
            true => kind(value.kind),
            false => ValueKind::Unknown,
        },
        value: value.value,
        children: value.children.into_iter().map(captured).collect(),
        absent: value.absent.map(|absent| Absent {
            reason: reason(absent.reason),
            detail: absent.detail,
        }),
    }
}

/// Whether a reason says that nothing is known, and not only that it is not told.
fn is_loss(absent: &lr_dwarf::Absent) -> bool {
    match absent.reason {
        Reason::OptimizedOut
        | Reason::NotLive
        | Reason::Unreadable
        | Reason::Unsupported
        | Reason::Redacted
        | Reason::Budget => true,
        Reason::Depth | Reason::Length | Reason::Size | Reason::Cycle => false,
    }
}

fn kind(kind: Kind) -> ValueKind {
    match kind {
        Kind::Int => ValueKind::Int,
        Kind::Uint => ValueKind::Uint,
        Kind::Float => ValueKind::Float,
        Kind::Bool => ValueKind::Bool,
        Kind::Char => ValueKind::Char,
        Kind::String => ValueKind::String,
        Kind::Pointer => ValueKind::Pointer,
        Kind::Struct => ValueKind::Struct,
        Kind::Union => ValueKind::Union,
        Kind::Enum => ValueKind::Enum,
        Kind::Variant => ValueKind::Variant,
        Kind::Array => ValueKind::Array,
        Kind::Sequence => ValueKind::Sequence,
        Kind::Map => ValueKind::Map,
        Kind::Optional => ValueKind::Optional,
        Kind::Function => ValueKind::Function,
        Kind::Unit => ValueKind::Unit,
        Kind::Unknown => ValueKind::Unknown,
    }
}

fn reason(reason: Reason) -> AbsentReason {
    match reason {
        Reason::OptimizedOut => AbsentReason::OptimizedOut,
        Reason::NotLive => AbsentReason::NotLive,
        Reason::Unreadable => AbsentReason::Unreadable,
        Reason::Depth => AbsentReason::Depth,
        Reason::Length => AbsentReason::Length,
        Reason::Size => AbsentReason::Size,
        Reason::Cycle => AbsentReason::Cycle,
        Reason::Redacted => AbsentReason::Redacted,
        Reason::Unsupported => AbsentReason::Unsupported,
        Reason::Budget => AbsentReason::Budget,
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

pub(crate) fn variable(variable: lr_dwarf::Variable) -> ExplainedVariable {
    let range = |range: &lr_dwarf::LineRange| LineRange {
        first: range.first,
        last: range.last,
    };
    ExplainedVariable {
        type_name: variable.type_name,
        kind: match variable.kind {
            lr_dwarf::VariableKind::Parameter => VariableKind::Parameter,
            lr_dwarf::VariableKind::Local => VariableKind::Local,
            lr_dwarf::VariableKind::Static => VariableKind::Static,
        },
        function: variable.function,
        frame: u32::try_from(variable.frame).unwrap_or(u32::MAX),
        line: variable.line,
        expression: variable.expression,
        shadowed: variable.is_shadowed,
        residence: residence(variable.residence),
        note: variable.note,
        live_lines: variable.live_lines.iter().map(range).collect(),
        name: variable.name,
    }
}

fn residence(residence_of: lr_dwarf::Residence) -> Residence {
    let text = residence_of.text();
    match residence_of {
        lr_dwarf::Residence::Register(_) => Residence::Register { text },
        lr_dwarf::Residence::Memory(_) => Residence::Memory { text },
        lr_dwarf::Residence::Constant(_) => Residence::Constant { text },
        lr_dwarf::Residence::Computed(_) => Residence::Computed { text },
        lr_dwarf::Residence::Pieces(pieces) => Residence::Pieces {
            text,
            pieces: pieces
                .into_iter()
                .map(|piece| PiecePlace {
                    bytes: piece.bytes,
                    residence: piece.at.map(|at| Box::new(residence(*at))),
                })
                .collect(),
        },
        lr_dwarf::Residence::Absent { reason, detail } => Residence::Absent {
            reason: absence(reason),
            detail,
        },
    }
}

/// Why a row is not bound, with addresses as they are in the target.
pub(crate) fn why_dropped(why: DropReason, bias: LoadBias) -> String {
    let moved = |bound: FileAddr| FileAddr(bound.in_target(bias).0);
    let why = match why {
        DropReason::SamePass { bound } => DropReason::SamePass {
            bound: moved(bound),
        },
        DropReason::MostlySamePass { bound } => DropReason::MostlySamePass {
            bound: moved(bound),
        },
        DropReason::SameBlock { bound } => DropReason::SameBlock {
            bound: moved(bound),
        },
        DropReason::CleanUp | DropReason::NotStatement => why,
    };
    why.to_string()
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
            name: "id".into(),
            type_name: "unsigned long".into(),
            value: Scalar::Uint(u64::MAX),
            tree: None,
        };
        let field = field(rendered);
        assert_eq!(
            (field.name.as_str(), field.type_name.as_str()),
            ("id", "unsigned long")
        );
        assert_eq!(field.value, FieldValue::Uint(u64::MAX));
    }
}
