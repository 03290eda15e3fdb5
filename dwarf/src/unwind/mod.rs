//! Stacks: from the registers of a thread to its callers (DWARF 5, 6.4), and from code addresses
//! to the functions, inlined ones too, whose variables are read there.

mod activation;
mod frame;
mod registers;
mod stack;
mod step;

pub(crate) use activation::CodeScope;
pub use frame::{Frame, FrameKind};
pub use registers::ThreadRegisters;
pub(crate) use registers::{FrameRegisters, name as register_name};
pub use stack::{Stack, StackEnd};
