//! Debug info to addresses, scopes, places and values; expressions to probes.
//!
//! Constraints, and what follows from them:
//! - No ptrace and no process: a target is registers and memory behind [`lr_probe`], and what is
//!   compiled here runs there. Whoever holds a file and its load bias can use all of it.
//! - ELF files and DWARF are hostile: what is malformed is an error, never a panic, a loop or an
//!   allocation that follows a number in the file.
//! - A wrong value is the worst defect: what is not understood becomes a reason.
//! - Programs have hundreds of megabytes of debug info: a lookup reads headers first and then
//!   only the units that it needs.

mod address;
mod binary;
mod compile;
mod core;
mod drawing;
mod error;
mod expr;
mod find;
mod flow;
mod image;
mod index;
mod info;
mod inspect;
mod kept;
mod layout;
mod loader;
mod location;
mod place;
mod resolve;
mod symbols;
mod target;
mod text;
mod types;
mod unwind;
mod value;
mod watch;

pub use address::{FileAddr, LoadBias, RuntimeAddr};
pub use binary::Binary;
pub use compile::{Compiled, Source, Wanted};
pub use core::{
    Core, CoreError, CoreMemory, CoreModules, CoreSignal, CoreThread, MappedFile, MissingModule,
    Permissions,
};
pub use error::{CompileError, CompileErrorKind, LoadError, LocateError, Part};
pub use find::{DebugFiles, DebugInfo, Fetch, Tried};
pub use image::{MappedPart, Segment};
pub use index::IndexCache;
pub use inspect::{LineRange, PiecePlace, Residence, Variable, VariableKind};
pub use layout::{Absence, HitContext, Layout, Rendered, RenderedField, Scalar};
pub use loader::{OpenError, Root, open_regular};
pub use location::{Location, LocationSyntax, Spot};
pub use place::{DropReason, Dropped, Inexact, InexactReason, InlinedFrame, Place, Resolved};
pub use symbols::Symbol;
pub use target::{Module, Target};
pub use unwind::{
    Avx512, Frame, FrameKind, Reached, Stack, StackEnd, ThreadRegisters, XsaveLayout,
};
pub use value::{Absent, Kind, Limits, Reason, Value, variables};
pub use watch::watch;
