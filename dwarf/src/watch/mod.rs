//! Expressions over a frame of a thread that stands still, or of a core: trees instead of words.
//! The language is that of `compile`; what it computes runs as a program, at once, over registers
//! that the frame's debug info has already been asked for.

mod live;
mod result;
mod run;

use std::rc::Rc;

use crate::compile::{Evaluator, Scope, Stop};
use crate::error::{CompileError, CompileErrorKind, Part};
use crate::expr::{self, Dialect, Kind as Syntax};
use crate::place::Place;
use crate::target::Target;
use crate::unwind::{Frame, Stack};
use crate::value::{Kind, Limits, Value, Watched};
use live::Frozen;
use result::Outcome;
pub(crate) use run::as_expressions_say;

/// The value of an expression in a frame of a stack that is held or in a core. It may end in `:raw`,
/// which shows containers as the structures that they are made of.
///
/// An expression that has no value is a value with a reason; one that does not make sense in the
/// frame is an error.
pub fn watch<'a>(
    target: &Target<'a>,
    stack: &Stack<'a>,
    frame: &Frame,
    expression: &str,
    limits: &Limits,
) -> Result<Value, CompileError> {
    let refused = |column, kind| CompileError {
        part: Part::Watch,
        column,
        kind,
    };
    let unread = |why: &str| {
        refused(
            0,
            CompileErrorKind::BadDebugInfo {
                why: why.to_owned(),
            },
        )
    };
    let Some(watched) = Watched::new(target, stack, frame, limits) else {
        return Err(refused(0, CompileErrorKind::NoCode));
    };
    let module = stack.activations[frame.activation].module;
    let module = module.expect("a frame whose code is known is in a module");
    let place = place_of(stack, frame).map_err(|error| unread(&error.to_string()))?;
    let bias = target.modules()[module].bias;
    let scope = Scope::new(watched.info(), &place, bias).map_err(|stop| unread(&stop.detail()))?;
    let (expr, raw) =
        expr::parse_watch(expression, Dialect::of(scope.language)).map_err(|error| {
            refused(
                error.column,
                CompileErrorKind::Syntax {
                    expected: error.expected,
                    found: error.found,
                },
            )
        })?;
    let mut limits = *limits;
    limits.raw |= raw;
    let watched = Watched { limits, ..watched };
    let frozen = Frozen::new(&watched);
    let mut evaluator = Evaluator {
        scope: &scope,
        live: Some(&frozen),
        is_watch: true,
        pool: Vec::new(),
    };
    let name = expression.trim();
    // A variable as it is: its pointers may lead to what has no address.
    let read = match &expr.kind {
        Syntax::Name(path) => evaluator.named(expr.column, path).map(Outcome::of_named),
        _ => evaluator.value(&expr).map(Outcome::Computed),
    };
    let told = read.and_then(|outcome| outcome.tree(name, &watched, &evaluator));
    match told {
        Ok(value) => Ok(value),
        Err(Stop::Absent { reason, detail }) => {
            Ok(Value::new(name, String::new(), Kind::Unknown).without(run::absent(reason, detail)))
        }
        Err(Stop::Refused { column, kind }) => Err(refused(column, kind)),
        Err(Stop::Whole { column, type_name }) => {
            Err(refused(column, CompileErrorKind::Whole { type_name }))
        }
    }
}

/// Where a frame stands, as expressions see it.
fn place_of(stack: &Stack<'_>, frame: &Frame) -> gimli::Result<Place> {
    let activation = &stack.activations[frame.activation];
    let code = activation.code.as_ref();
    let code = code.expect("only frames whose code is known are watched");
    let owner = frame.nodes.first().map(|&node| (&*code.scopes, node));
    let info = Rc::clone(&code.info);
    let mut place = info.place(code.unit, activation.addr, None, owner)?;
    (place.file, place.line) = (frame.file.clone(), frame.line);
    Ok(place)
}
