//! What `lr` costs, beside what gdb costs and what ptrace allows, in the same run.

mod attach;
mod gdb;
mod hit;

pub(crate) use attach::attach;
pub(crate) use hit::hit;
