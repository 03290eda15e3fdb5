//! Stacks: from the registers of a thread to its callers (DWARF 5, 6.4), and from code addresses
//! to the functions, inlined ones too, whose variables are read there.

mod activation;
mod begun;
mod call;
mod frame;
mod guess;
mod registers;
mod sigreturn;
mod sites;
mod stack;
mod step;
mod switch;
mod tail;
mod xstate;

pub(crate) use activation::CodeScope;
pub use activation::Reached;
pub use frame::{Frame, FrameKind};
pub use registers::{Avx512, ThreadRegisters};
pub(crate) use registers::{FrameRegisters, is_vector, name as register_name};
pub(crate) use sites::{Function, Instances, Site, Sites, entry_of, instances, is_call_to, meant};
pub use stack::{Stack, StackEnd};
pub(crate) use xstate::WrittenBy;
pub use xstate::XsaveLayout;
