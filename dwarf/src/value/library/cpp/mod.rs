//! What GNU's and LLVM's C++ libraries have in common.

mod align;
mod alternative;
mod between;
mod bits;
mod chain;
mod chrono;
mod code;
mod coroutine;
mod iterator;
mod label;
mod owner;
mod pthread;
mod read;
mod string;
mod template;
mod tree;

pub(super) use align::alignment;
pub(super) use alternative::alternative;
pub(super) use between::{MAX_ELEMENTS, between, counted, is_place};
pub(super) use bits::{Bits, bitset};
pub(super) use chain::Chain;
pub(super) use chrono::{duration, time_point};
pub(super) use code::{argument_of, function, made_for};
pub(super) use coroutine::handle;
pub(super) use iterator::{before, list_end, node};
pub(super) use label::label;
pub(super) use owner::{Owned, held, owner, pointer};
pub(super) use pthread::{mutex, rwlock, thread};
pub(super) use read::{any_member, any_path, broken, family, is_std, signed};
pub(super) use string::characters;
pub(super) use template::{element, value_argument};
pub(super) use tree::{Links, Tree};
