//! Files: whatever this crate opens or maps is opened and mapped here, and nowhere else is
//! `unsafe` code of this crate.
//!
//! A file of a target is hostile: its path may lead out of the target's root, to a pipe that
//! nobody writes to or to a device, and it may be cut short while it is read.

mod map;
mod regular;
mod root;
mod sigbus;

pub(crate) use map::Mapped;
pub use regular::{OpenError, open_regular};
pub use root::Root;
