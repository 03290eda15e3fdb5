//! How a thread goes on after a hit: by computing the replaced instruction, or by stepping the
//! same or a borrowed instruction somewhere else. The original place is never executed again
//! while its byte is ours.

#[cfg(test)]
mod against_cpu;
mod bits;
mod borrow;
mod decode;
mod emulated;
mod flags;
mod moves;
mod twin;

pub(crate) use borrow::{Loan, LoanPlan, Pattern};
pub(crate) use decode::{Instruction, Step};
pub(crate) use emulated::Cpu;
pub(crate) use twin::{Twin, find_twins};
