//! Values as trees: the variables of a frame, read from registers and memory by what debug info
//! says of them. A value is right, or it is a reason.

mod array;
mod call_site;
mod class;
mod constant;
mod decimal;
mod declaration;
mod dimension;
mod dynamic;
mod elsewhere;
pub(crate) mod evaluate;
#[cfg(test)]
mod expressions;
mod extended;
mod fields;
mod library;
mod limits;
mod lines;
mod listing;
mod member_pointer;
mod members;
mod object;
mod pointer;
mod reader;
mod referent;
mod rtti;
mod scalar;
mod shape;
mod shown;
mod text;
mod thread_local;
mod tree;
mod variant;
mod watched;

pub use limits::Limits;
pub use listing::variables;
pub(crate) use object::{Gathered, Object};
pub use tree::{Absent, Kind, Reason, Value};
pub(crate) use watched::{Watched, WatchedKey};
