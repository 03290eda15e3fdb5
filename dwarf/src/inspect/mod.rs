//! What a place has: the variables in scope, and where each of them lives.
//!
//! The same code decides here and where expressions are compiled, so that what is said of a
//! variable is what a log of it will yield.

mod formula;
mod lifetime;
mod live;
mod residence;
mod variable;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::address::LoadBias;
use crate::binary::Binary;
use crate::compile::{Declared, Evaluator, Left, Local, Meaning, Scope, Stop};
use crate::error::LocateError;
use crate::expr::{Dialect, Expr, Kind, Piece, parse_template};
use crate::info::{DieRef, Info, NodeKind};
use crate::layout::Absence;
use crate::place::Place;
use lifetime::{InstanceLines, Lifetime};

pub(crate) use live::{Spot, live_lines};
pub use residence::{PiecePlace, Residence};
pub use variable::{LineRange, Variable, VariableKind};

/// The most variables of one place.
const MAX_VARIABLES: usize = 4096;

/// Every variable of the scopes around a place, of the innermost one first.
pub(crate) fn variables(
    binary: &Binary,
    place: &Place,
    bias: LoadBias,
) -> Result<Vec<Variable>, LocateError> {
    let bad = |why: String| LocateError::BadDebugInfo {
        name: binary.name().display().to_string(),
        why,
    };
    let info = Info::new(binary).map_err(|error| bad(error.to_string()))?;
    let scope = Scope::new(Rc::new(info), place, bias).map_err(|stop| bad(stop.detail()))?;
    let mut inspector = Inspector {
        scope: &scope,
        meanings: HashMap::new(),
        lines: HashMap::new(),
    };
    inspector.all().map_err(|stop| bad(stop.detail()))
}

struct Inspector<'a, 's> {
    scope: &'s Scope<'a>,
    /// What was found for a name.
    meanings: HashMap<String, Rc<Meaning<'a>>>,
    /// The lines of each frame that was asked for.
    lines: HashMap<usize, Rc<InstanceLines>>,
}

/// A function or inlined instance around the place.
#[derive(Clone, Copy)]
struct Frame {
    /// 0 is the place's own.
    number: usize,
    instance: usize,
}

impl<'a> Inspector<'a, '_> {
    fn all(&mut self) -> Result<Vec<Variable>, Stop> {
        let scope = self.scope;
        let Some(scopes) = scope.unit_scopes() else {
            return Ok(Vec::new());
        };
        let (nodes, _) = scope.nodes();
        let mut all = Vec::new();
        let mut number = 0;
        let mut origins: HashSet<DieRef> = HashSet::new();
        for &node in nodes {
            let instance = scopes.instance_of(node);
            for declared in scope.declared_in(node)?.iter() {
                if all.len() == MAX_VARIABLES {
                    return Ok(all);
                }
                // It may have left a trace in a scope further in, where the compiler split one.
                if declared.left != Left::Entry && origins.contains(&declared.die.at) {
                    continue;
                }
                origins.extend(
                    scope
                        .info
                        .origins(declared.die.at)?
                        .iter()
                        .map(|die| die.at),
                );
                let frame = Frame { number, instance };
                all.push(self.variable(node, frame, declared)?);
            }
            if scopes.node(node).kind != NodeKind::Block {
                number += 1;
            }
        }
        Ok(all)
    }

    fn variable(
        &mut self,
        node: usize,
        frame: Frame,
        declared: &Declared<'a>,
    ) -> Result<Variable, Stop> {
        let scope = self.scope;
        let place = &scope.place;
        let at = declared.die.at;
        let local = scope.local(node, declared)?;
        let meaning = self.meaning(&declared.name)?;
        let is_meant = match &*meaning {
            Meaning::Known(die) => die.at == at,
            Meaning::Absent(meant, _) => *meant == at,
            Meaning::Later(_) | Meaning::Nothing => false,
        };
        let mut note = None;
        let residence = match (&*meaning, local) {
            (Meaning::Absent(meant, stop), _) if *meant == at => absent(stop.clone()),
            (_, Local::Not(_, stop) | Local::Later(stop)) => absent(stop),
            (_, Local::Live(_) | Local::Doubtful(_)) => match self.residence(declared) {
                Ok(residence) if is_meant => match self.field(&declared.name) {
                    Ok(said) => {
                        note = said;
                        residence
                    }
                    Err(stop) => absent(stop),
                },
                Ok(residence) => residence,
                Err(stop) => absent(stop),
            },
        };
        let means_something = matches!(&*meaning, Meaning::Known(_) | Meaning::Absent(..));
        let is_later = matches!(
            residence,
            Residence::Absent {
                reason: Absence::NotLive,
                ..
            }
        );
        let is_shadowed = means_something && !is_meant && !is_later;
        let may_be_elsewhere = matches!(
            residence,
            Residence::Absent {
                reason: Absence::OptimizedOut | Absence::NotLive,
                ..
            }
        );
        let live_lines = match may_be_elsewhere && declared.left == Left::Entry {
            true => self.live_lines(node, frame, declared)?,
            false => Vec::new(),
        };
        let line = scope.info.declared(at)?.map_or(0, |(_, line)| line);
        let function = match frame.number.checked_sub(1) {
            None => place.function.clone(),
            Some(outward) => place
                .inlined
                .get(outward)
                .map(|frame| frame.function.clone())
                .unwrap_or_default(),
        };
        Ok(Variable {
            type_name: scope.info.type_name_of(&declared.die),
            kind: variable::kind_of(&scope.info, &declared.die)?,
            function,
            frame: frame.number,
            line: u32::try_from(line).unwrap_or(0),
            expression: (is_meant && self.parsed(&declared.name).is_some())
                .then(|| declared.name.clone()),
            name: declared.name.clone(),
            is_shadowed,
            residence,
            note,
            live_lines,
        })
    }

    fn meaning(&mut self, name: &str) -> Result<Rc<Meaning<'a>>, Stop> {
        if let Some(known) = self.meanings.get(name) {
            return Ok(Rc::clone(known));
        }
        let found = Rc::new(self.scope.meaning(name)?);
        self.meanings.insert(name.to_owned(), Rc::clone(&found));
        Ok(found)
    }

    fn residence(&self, declared: &Declared<'a>) -> Result<Residence, Stop> {
        let storage = self.scope.storage(&declared.die)?;
        Ok(residence::of_storage(self.scope, &declared.die, &storage))
    }

    /// The name as an expression, where it is one.
    fn parsed(&self, name: &str) -> Option<Expr> {
        let dialect = Dialect::of(self.scope.language);
        let pieces = parse_template(&format!("{{{name}}}"), dialect).ok()?;
        match <[Piece; 1]>::try_from(pieces) {
            Ok([Piece::Field { expr, .. }]) if expr.kind == Kind::Name(vec![name.to_owned()]) => {
                Some(expr)
            }
            _ => None,
        }
    }

    /// What a log would say instead of the whole value; an error where it has none at all.
    fn field(&self, name: &str) -> Result<Option<String>, Stop> {
        let Some(expr) = self.parsed(name) else {
            return Ok(None);
        };
        let mut evaluator = Evaluator {
            scope: self.scope,
            live: None,
            is_watch: false,
            pool: Vec::new(),
        };
        match evaluator.field(&expr, crate::expr::Format::Plain) {
            Ok(_) => Ok(None),
            Err(Stop::Absent {
                reason: Absence::Unsupported,
                detail,
            }) => Ok(Some(detail)),
            Err(Stop::Refused { kind, .. }) => Ok(Some(kind.to_string())),
            Err(stop) => Err(stop),
        }
    }

    fn live_lines(
        &mut self,
        node: usize,
        frame: Frame,
        declared: &Declared<'a>,
    ) -> Result<Vec<LineRange>, Stop> {
        let lifetime = Lifetime::read(self.scope, &declared.die)?;
        if lifetime.is_nowhere() {
            return Ok(Vec::new());
        }
        let lines = match self.lines.get(&frame.number) {
            Some(known) => Rc::clone(known),
            None => {
                let read = Rc::new(self.instance_lines(frame)?);
                self.lines.insert(frame.number, Rc::clone(&read));
                read
            }
        };
        let scopes = self.scope.unit_scopes().expect("there are nodes");
        Ok(lines.live(scopes, node, &lifetime))
    }

    fn instance_lines(&self, frame: Frame) -> Result<InstanceLines, Stop> {
        let place = &self.scope.place;
        let (file, line) = match frame.number.checked_sub(1) {
            None => (place.file.as_str(), place.line),
            Some(outward) => match place.inlined.get(outward) {
                Some(frame) => (frame.file.as_str(), frame.line),
                None => return Ok(InstanceLines::default()),
            },
        };
        InstanceLines::read(self.scope, frame.instance, file, line)
    }
}

fn absent(stop: Stop) -> Residence {
    match stop {
        Stop::Absent { reason, detail } => Residence::Absent { reason, detail },
        stop @ (Stop::Refused { .. } | Stop::Whole { .. }) => Residence::Absent {
            reason: Absence::Unsupported,
            detail: stop.detail(),
        },
    }
}
