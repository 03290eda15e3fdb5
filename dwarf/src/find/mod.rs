//! Debug info that is not in the binary itself: where it may be, and whether it is the right one.
//!
//! What is tried is what gdb tries, in its order, in each root; what was wrong with a file that
//! was there is kept, because it is what a user has to know.

mod build_id;
mod debug_files;
mod debug_info;
mod mini;
mod separate;
mod shared;
mod split;

pub(crate) use build_id::hexadecimal;
pub use debug_files::{DebugFiles, Fetch};
pub use debug_info::{DebugInfo, Tried};
pub(crate) use mini::mini;
pub(crate) use separate::separate;
pub(crate) use shared::shared;
pub(crate) use split::{Half, SplitFiles, unit_of};
