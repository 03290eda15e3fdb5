//! What users write: expressions and templates, before anything is known of the program.

mod ast;
mod cursor;
mod literal;
mod parse;
mod template;

pub(crate) use ast::{
    Binary, Expr, Kind, Precision, REGISTERS, Range, Special, Suffix, Test, TypeName, Unary,
};
pub(crate) use parse::{Dialect, parse_condition, parse_watch};
pub(crate) use template::{Format, Piece, parse_template};

/// Where a text stops to make sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SyntaxError {
    /// Byte offset in the text.
    pub(crate) column: usize,
    pub(crate) expected: String,
    pub(crate) found: String,
}
