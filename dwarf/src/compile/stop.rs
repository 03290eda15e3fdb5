use crate::error::CompileErrorKind;
use crate::layout::Absence;

/// Why an expression has no code.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Stop {
    /// The user is told and nothing is placed.
    Refused {
        column: usize,
        kind: CompileErrorKind,
    },
    /// It takes more than a program: whoever holds the thread can read it.
    Whole { column: usize, type_name: String },
    /// Every event says so instead of a value.
    Absent { reason: Absence, detail: String },
}

pub(crate) type Result<T> = std::result::Result<T, Stop>;

impl Stop {
    pub(crate) fn unsupported(detail: impl Into<String>) -> Stop {
        Stop::Absent {
            reason: Absence::Unsupported,
            detail: detail.into(),
        }
    }

    pub(crate) fn optimized_out(detail: impl Into<String>) -> Stop {
        Stop::Absent {
            reason: Absence::OptimizedOut,
            detail: detail.into(),
        }
    }

    /// What it says, without where it stands.
    pub(crate) fn detail(self) -> String {
        match self {
            Stop::Absent { detail, .. } => detail,
            Stop::Refused { kind, .. } => kind.to_string(),
            Stop::Whole { type_name, .. } => CompileErrorKind::Whole { type_name }.to_string(),
        }
    }

    pub(crate) fn types(
        column: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Stop {
        Stop::Refused {
            column,
            kind: CompileErrorKind::Type {
                expected: expected.into(),
                found: found.into(),
            },
        }
    }
}

impl From<gimli::Error> for Stop {
    /// Debug info that is broken in one place costs the values that need it.
    fn from(error: gimli::Error) -> Stop {
        Stop::unsupported(format!("debug info: {error}"))
    }
}
