//! From what a user asks at a place to a program and a layout.

mod arith;
mod code;
mod eval;
mod field;
mod scope;
mod stop;
mod storage;
mod types;
mod value;

use lr_probe::{Op, Program, Reason};

use crate::address::LoadBias;
use crate::binary::Binary;
use crate::error::{CompileError, CompileErrorKind, Part};
use crate::expr::{self, Dialect, SyntaxError};
use crate::info::Info;
use crate::layout::{Absence, Decode, Field, Layout, Segment};
use crate::place::Place;

pub(crate) use code::Code;
pub(crate) use eval::Evaluator;
pub(crate) use scope::{Declared, Left, Local, Meaning, Scope, nodes_from};
pub(crate) use stop::Stop;
pub(crate) use storage::{Piece, PieceAt, Storage};

/// What is asked at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source<'a> {
    /// An expression; only hits where it holds count.
    pub condition: Option<&'a str>,
    pub template: &'a str,
}

/// What runs at a hit, and how to read what it wrote.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub program: Program,
    pub layout: Layout,
    /// Sentences for the user: what will never have a value here, and why.
    pub warnings: Vec<String>,
}

pub(crate) fn compile(
    binary: &Binary,
    place: &Place,
    bias: LoadBias,
    source: &Source<'_>,
) -> Result<Compiled, CompileError> {
    compile_whole(binary, place, bias, source).map_err(|error| without_half(binary, place, error))
}

/// That a name is not known means little where the file with the names is missing.
fn without_half(binary: &Binary, place: &Place, mut error: CompileError) -> CompileError {
    if let CompileErrorKind::UnknownVariable { name, .. } = &error.kind
        && let Ok(info) = Info::new(binary)
        && let Some(file) = info.missing_half_at(place.addr.0)
    {
        let name = name.clone();
        error.kind = CompileErrorKind::NoSplitInfo { name, file };
    }
    error
}

fn compile_whole(
    binary: &Binary,
    place: &Place,
    bias: LoadBias,
    source: &Source<'_>,
) -> Result<Compiled, CompileError> {
    let info = Info::new(binary).map_err(|error| broken(&error))?;
    let scope = Scope::new(info, place, bias).map_err(|stop| refused(Part::Template, stop))?;
    let dialect = Dialect::of(scope.language);
    let mut ops = Vec::new();
    let mut warnings = Vec::new();
    let mut evaluator = Evaluator {
        scope: &scope,
        pool: Vec::new(),
    };
    if let Some(text) = source.condition {
        let condition =
            expr::parse_condition(text, dialect).map_err(|error| syntax(Part::Condition, error))?;
        let code = evaluator.value(&condition).and_then(|value| {
            let value = evaluator.scope.read(value)?;
            evaluator.truth(condition.column, &value)
        });
        let code = match code {
            Ok(code) => code,
            Err(Stop::Absent { reason, detail }) => {
                warnings.push(never(
                    place,
                    &format!("the condition `{text}`"),
                    reason,
                    &detail,
                ));
                always_failing(reason)
            }
            Err(stop) => return Err(refused(Part::Condition, stop)),
        };
        code.then(Op::Accept).link(&mut ops);
    }
    let pieces = expr::parse_template(source.template, dialect)
        .map_err(|error| syntax(Part::Template, error))?;
    let mut layout = Layout::default();
    for piece in pieces {
        let (expr, format, name) = match piece {
            expr::Piece::Text(text) => {
                layout.segments.push(Segment::Text(text));
                continue;
            }
            expr::Piece::Field { expr, format, name } => (expr, format, name),
        };
        let (kept, type_name, decode) = match evaluator.field(&expr, format) {
            Ok(kept) => (kept.code, kept.type_name, kept.decode),
            Err(Stop::Absent { reason, detail }) => {
                warnings.push(never(place, &format!("`{name}`"), reason, &detail));
                (None, String::new(), Decode::Absent { reason, detail })
            }
            Err(stop) => return Err(refused(Part::Template, stop)),
        };
        layout.segments.push(Segment::Field {
            index: layout.fields.len(),
            format,
        });
        layout.fields.push(Field {
            name,
            type_name,
            in_record: kept.is_some(),
            decode,
        });
        if let Some(code) = kept {
            let begin = ops.len();
            ops.push(Op::Field { end: 0 });
            code.link(&mut ops);
            let end = u16::try_from(ops.len()).unwrap_or(u16::MAX);
            ops[begin] = Op::Field { end };
        }
    }
    let program = Program::new(ops, evaluator.pool).map_err(|error| CompileError {
        part: Part::Template,
        column: 0,
        kind: CompileErrorKind::TooLarge {
            why: error.to_string(),
        },
    })?;
    Ok(Compiled {
        program,
        layout,
        warnings,
    })
}

/// A condition that has no value: it ends every run with its reason.
fn always_failing(reason: Absence) -> Code {
    let reason = match reason {
        Absence::OptimizedOut | Absence::NotLive => Reason::OptimizedOut,
        _ => Reason::Unsupported,
    };
    // The verifier follows code: what comes behind `Fail` has to be reachable.
    Code::constant(1)
        .then(Op::Const(0))
        .then(Op::JumpIfNotZero(1))
        .then(Op::Fail(reason))
}

fn never(place: &Place, what: &str, reason: Absence, detail: &str) -> String {
    let (label, word) = (place.label(), reason.word());
    format!("{what} has no value at {label}: {word}, {detail}")
}

fn syntax(part: Part, error: SyntaxError) -> CompileError {
    CompileError {
        part,
        column: error.column,
        kind: CompileErrorKind::Syntax {
            expected: error.expected,
            found: error.found,
        },
    }
}

fn broken(error: &gimli::Error) -> CompileError {
    CompileError {
        part: Part::Template,
        column: 0,
        kind: CompileErrorKind::BadDebugInfo {
            why: error.to_string(),
        },
    }
}

fn refused(part: Part, stop: Stop) -> CompileError {
    match stop {
        Stop::Refused { column, kind } => CompileError { part, column, kind },
        Stop::Absent { detail, .. } => CompileError {
            part,
            column: 0,
            kind: CompileErrorKind::BadDebugInfo { why: detail },
        },
    }
}
