//! What the kernel or gdb kept of a process (core(5)): memory, threads, and which files were
//! mapped where.
//!
//! A core is as hostile as any other file: what it counts is bounded by what it has.

mod build_id;
mod file;
mod memory;
mod module;
mod notes;

pub use file::{Core, CoreError, CoreSignal, CoreThread, Permissions};
pub use memory::CoreMemory;
pub use module::{CoreModules, MissingModule};
pub use notes::MappedFile;
