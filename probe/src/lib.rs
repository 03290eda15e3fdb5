//! The form of a compiled action and its interpreter.
//!
//! A [`Program`] is what one action does at one address: an optional condition, then the fields
//! to keep. It is compiled once, verified once, and run at every hit while a thread is stopped.
//!
//! Constraints, and what follows from them:
//! - It runs while a thread of somebody's production process is stopped: no allocation, no
//!   locks, no formatting, no system call of its own, jumps only forward. Its cost is bounded by
//!   its length and by [`Budget`].
//! - It knows registers and memory through [`Registers`] and [`Memory`] and nothing else, neither
//!   ptrace nor DWARF, so that another engine can run the same programs.
//! - It can read and keep. There is no operation that writes to the target.
//! - A fault is a value: it becomes the [`Reason`] of the field it happened in, and the fields
//!   after it are still kept.

mod field;
mod machine;
mod op;
mod program;
mod registers;
mod text;
mod verify;

pub use field::{FieldWriter, Fields, Kept, fault_field};
pub use machine::{Budget, Context, Memory, MemoryFault, Outcome, constant, run};
pub use op::{ContextWord, OP_BYTES, Op, Reason, TextAt, Width};
pub use program::{Program, ProgramError};
pub use registers::{REGISTER_COUNT, Register, Registers};
pub use text::ThreadName;
pub use verify::{Cost, MAX_OPS, MAX_STACK, VerifyError, verify};
