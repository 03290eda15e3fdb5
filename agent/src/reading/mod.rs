//! Reading threads that stand still, and what they point to.
//!
//! Constraints, and what follows from them:
//! - A thread stands still for milliseconds, and debug info may take seconds to read: so it is
//!   read on a thread of its own, which is never waited for longer than the target may wait.
//! - What counts is what was read before the gate closed. Its own stack is copied first, so that
//!   the frames can be told even where nothing else was read in time.
//! - A page of the target's may come when the target likes (userfaultfd, FUSE): what does not come
//!   soon is unreadable. A reader that does not come back nevertheless is left behind, and another
//!   one is started.

mod gate;
mod memory;
mod modules;
mod others;
mod prepare;
mod reader;
mod size;
mod stand;

pub(crate) use modules::modules_of;
pub(crate) use reader::{Begun, Progress, Reader};
pub(crate) use stand::{Read, Standing, Wanted};
