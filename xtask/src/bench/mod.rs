//! What `lr` costs, beside what gdb costs and what ptrace allows, in the same run.

mod actions;
mod attach;
mod done;
mod gdb;
mod hit;
mod idle;
mod index;
mod kill;
mod limits;
mod threads;

pub(crate) use actions::actions;
pub(crate) use attach::attach;
pub(crate) use hit::hit;
pub(crate) use idle::idle;
pub(crate) use index::index;
pub(crate) use kill::kill;
pub(crate) use threads::threads;
