//! How control passes through a function: blocks, what follows what, and which of a line's rows a
//! pass over the line meets first.
//!
//! Constraints, and what follows from them:
//! - Code is read and never run: what cannot be followed (an indirect jump without a table that is
//!   understood) leads to everything that nothing else leads to.
//! - Code and tables are hostile: a function has a size beyond which it is not read, tables end
//!   where they leave the function, and every walk visits a block once.
//! - A line in one function is a matter of milliseconds: functions are read one by one, as a
//!   location touches them, and callees only until they are seen to return.

mod callee;
mod code;
mod graph;
mod known;
mod landing;
mod pass;
mod table;

pub(crate) use callee::Callees;
pub(crate) use code::{Code, Next, next};
pub(crate) use graph::Graph;
pub(crate) use known::KnownFunctions;
pub(crate) use pass::{Choice, Fate, Part, choose};
