use gimli::{AttributeValue, Operation};

use super::residence::Residence;
use crate::info::{Die, Info, Result};

/// A variable in scope at a place.
#[derive(Clone, PartialEq, Debug)]
pub struct Variable {
    pub name: String,
    /// As the program declares it; empty where none is known.
    pub type_name: String,
    pub kind: VariableKind,
    /// The qualified name of the function whose variable it is.
    pub function: String,
    /// 0 is the place's own function; `n` is the function of `Place::inlined[n - 1]`.
    pub frame: usize,
    /// Where it is declared; zero where that is not known.
    pub line: u32,
    /// What to write for it in a template or a condition; `None` where the name means something
    /// else there, or nothing yet.
    pub expression: Option<String>,
    /// Whether another variable has its name here.
    pub is_shadowed: bool,
    pub residence: Residence,
    /// Why a log has only parts of it, as a clause: "a whole `struct order`".
    pub note: Option<String>,
    /// Lines of its function at which it has a value and where a log can be placed, ascending;
    /// filled where it has none here. Only lines near the place are looked at.
    pub live_lines: Vec<LineRange>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VariableKind {
    Parameter,
    Local,
    /// Declared in the function, but one for all its calls.
    Static,
}

impl VariableKind {
    /// The word for it in `lr explain`.
    pub fn word(self) -> &'static str {
        match self {
            VariableKind::Parameter => "parameter",
            VariableKind::Local => "local",
            VariableKind::Static => "static",
        }
    }
}

/// Lines of which each that has code has what is told of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineRange {
    pub first: u32,
    /// Included.
    pub last: u32,
}

pub(super) fn kind_of(info: &Info<'_>, die: &Die<'_>) -> Result<VariableKind> {
    if die.tag() == gimli::DW_TAG_formal_parameter {
        return Ok(VariableKind::Parameter);
    }
    let Some(AttributeValue::Exprloc(expression)) = die.attr(gimli::DW_AT_location) else {
        return Ok(VariableKind::Local);
    };
    let encoding = info.unit(die.at.unit)?.encoding();
    let mut operations = expression.operations(encoding);
    let first = operations.next()?;
    let is_address = |operation: &Option<Operation<_>>| {
        matches!(
            operation,
            Some(Operation::Address { .. } | Operation::AddressIndex { .. } | Operation::TLS)
        )
    };
    // A thread-local one is an offset first.
    let is_static = is_address(&first) || is_address(&operations.next()?);
    Ok(match is_static {
        true => VariableKind::Static,
        false => VariableKind::Local,
    })
}
