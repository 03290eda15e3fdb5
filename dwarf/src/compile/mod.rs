//! From what a user asks at a place to a program and a layout.

mod alternative;
mod arith;
mod code;
mod elements;
mod equality;
mod eval;
mod field;
mod live;
mod number;
mod scope;
mod source;
mod stop;
mod storage;
mod text;
mod through;
mod types;
mod value;
mod variant;

use std::rc::Rc;

use lr_probe::{Op, Program, Reason};

use crate::address::LoadBias;
use crate::binary::Binary;
use crate::error::{CompileError, CompileErrorKind, Part};
use crate::expr::{self, Dialect, Expr, Format, SyntaxError};
use crate::info::Info;
use crate::layout::{Absence, Decode, Field, Layout, Segment, Tree};
use crate::place::Place;

pub(crate) use code::Code;
pub(crate) use elements::{Elements, Key, Spread, Text};
pub(crate) use eval::{Evaluator, Named};
use field::Kept;
pub(crate) use live::Live;
pub(crate) use scope::{Declared, Left, Local, Meaning, Scope, nodes_from};
pub use source::{Source, Wanted};
pub(crate) use stop::Stop;
pub(crate) use storage::{Piece, PieceAt, Storage};
pub(crate) use value::{At, Value as Computed, inner_array};

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

/// Whether a watch makes sense at a place; what only a walk finds or has no value there does.
pub(crate) fn check_watch(
    binary: &Binary,
    place: &Place,
    bias: LoadBias,
    text: &str,
) -> Result<(), CompileError> {
    let checked = || {
        let info = Info::new(binary).map_err(|error| broken(&error))?;
        let scope =
            Scope::new(Rc::new(info), place, bias).map_err(|stop| refused(Part::Watch, stop))?;
        let (expr, _) = expr::parse_watch(text, Dialect::of(scope.language))
            .map_err(|error| syntax(Part::Watch, error))?;
        let mut evaluator = Evaluator {
            scope: &scope,
            live: None,
            is_watch: true,
            pool: Vec::new(),
        };
        match evaluator.value(&expr) {
            Err(stop @ Stop::Refused { .. }) => Err(refused(Part::Watch, stop)),
            Ok(_) | Err(Stop::Whole { .. } | Stop::Absent { .. }) => Ok(()),
        }
    };
    checked().map_err(|error| without_half(binary, place, error))
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
    let scope =
        Scope::new(Rc::new(info), place, bias).map_err(|stop| refused(Part::Template, stop))?;
    let mut compiler = Compiler {
        place,
        dialect: Dialect::of(scope.language),
        ops: Vec::new(),
        layout: Layout {
            scope: place.scope,
            line: (place.file.clone(), place.line),
            ..Layout::default()
        },
        warnings: Vec::new(),
        evaluator: Evaluator {
            scope: &scope,
            live: None,
            is_watch: false,
            pool: Vec::new(),
        },
    };
    if let Some(text) = source.condition {
        compiler.condition(text)?;
    }
    match source.wanted {
        Wanted::Template(text) => compiler.template(text)?,
        Wanted::Number { value, by } => {
            if let Some(text) = by {
                compiler.whole(Part::Group, text, Evaluator::group)?;
            }
            if let Some(text) = value {
                compiler.whole(Part::Value, text, Evaluator::number)?;
            }
        }
        Wanted::Nothing => {}
    }
    compiler.finish()
}

/// A program and its layout while they are made.
struct Compiler<'a, 's> {
    place: &'s Place,
    dialect: Dialect,
    evaluator: Evaluator<'a, 's>,
    ops: Vec<Op>,
    layout: Layout,
    warnings: Vec<String>,
}

impl<'a, 's> Compiler<'a, 's> {
    fn condition(&mut self, text: &str) -> Result<(), CompileError> {
        let condition = expr::parse_condition(text, self.dialect)
            .map_err(|error| syntax(Part::Condition, error))?;
        let evaluator = &mut self.evaluator;
        let code = evaluator.value(&condition).and_then(|value| {
            let value = evaluator.scope.read(value)?;
            evaluator.truth(condition.column, &value)
        });
        let code = match code {
            Ok(code) => code,
            Err(Stop::Absent { reason, detail }) => {
                let what = format!("the condition `{text}`");
                self.never(&what, reason, &detail);
                always_failing(reason)
            }
            Err(stop) => return Err(refused(Part::Condition, stop)),
        };
        code.then(Op::Accept).link(&mut self.ops);
        Ok(())
    }

    fn template(&mut self, text: &str) -> Result<(), CompileError> {
        let pieces = expr::parse_template(text, self.dialect)
            .map_err(|error| syntax(Part::Template, error))?;
        for piece in pieces {
            let (expr, format, name, source) = match piece {
                expr::Piece::Text(text) => {
                    self.layout.segments.push(Segment::Text(text));
                    continue;
                }
                expr::Piece::Field {
                    expr,
                    format,
                    name,
                    source,
                } => (expr, format, name, source),
            };
            let (kept, type_name, decode) = match self.evaluator.field(&expr, format) {
                Err(Stop::Whole { type_name, .. }) => (None, type_name, self.tree(source, format)),
                Ok(kept) => (kept.code, kept.type_name, kept.decode),
                Err(Stop::Absent { reason, detail }) => {
                    self.never(&format!("`{name}`"), reason, &detail);
                    (None, String::new(), Decode::Absent { reason, detail })
                }
                Err(stop) => return Err(refused(Part::Template, stop)),
            };
            self.layout.segments.push(Segment::Field {
                index: self.layout.fields.len(),
                format,
            });
            self.add(name, type_name, kept, decode);
        }
        Ok(())
    }

    fn tree(&mut self, source: String, format: Format) -> Decode {
        let expression = match format {
            Format::Raw => format!("{source}:raw"),
            _ => source,
        };
        self.layout.trees.push(Tree { expression });
        Decode::Tree(self.layout.trees.len() - 1)
    }

    /// One expression that is a field of its own, with something in every record.
    fn whole(
        &mut self,
        part: Part,
        text: &str,
        keep: impl FnOnce(&mut Evaluator<'a, 's>, &Expr) -> stop::Result<Kept>,
    ) -> Result<(), CompileError> {
        let expr =
            expr::parse_condition(text, self.dialect).map_err(|error| syntax(part, error))?;
        let (code, type_name, decode) = match keep(&mut self.evaluator, &expr) {
            Ok(kept) => (kept.code, kept.type_name, kept.decode),
            Err(Stop::Absent { reason, detail }) => {
                self.never(&format!("`{text}`"), reason, &detail);
                let code = always_failing(reason).then(Op::KeepWord);
                (Some(code), String::new(), Decode::Uint)
            }
            Err(stop) => return Err(refused(part, stop)),
        };
        self.add(text.trim().to_owned(), type_name, code, decode);
        Ok(())
    }

    fn add(&mut self, name: String, type_name: String, code: Option<Code>, decode: Decode) {
        self.layout.fields.push(Field {
            name: name.into(),
            type_name: type_name.into(),
            in_record: code.is_some(),
            decode,
        });
        if let Some(code) = code {
            let begin = self.ops.len();
            self.ops.push(Op::Field { end: 0 });
            code.link(&mut self.ops);
            let end = u16::try_from(self.ops.len()).unwrap_or(u16::MAX);
            self.ops[begin] = Op::Field { end };
        }
    }

    fn never(&mut self, what: &str, reason: Absence, detail: &str) {
        let (label, word) = (self.place.label(), reason.word());
        self.warnings
            .push(format!("{what} has no value at {label}: {word}, {detail}"));
    }

    fn finish(self) -> Result<Compiled, CompileError> {
        let program =
            Program::new(self.ops, self.evaluator.pool).map_err(|error| CompileError {
                part: Part::Template,
                column: 0,
                kind: CompileErrorKind::TooLarge {
                    why: error.to_string(),
                },
            })?;
        Ok(Compiled {
            program,
            layout: self.layout,
            warnings: self.warnings,
        })
    }
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
        Stop::Whole {
            column, type_name, ..
        } => CompileError {
            part,
            column,
            kind: CompileErrorKind::Whole { type_name },
        },
        Stop::Absent { detail, .. } => CompileError {
            part,
            column: 0,
            kind: CompileErrorKind::BadDebugInfo { why: detail },
        },
    }
}
