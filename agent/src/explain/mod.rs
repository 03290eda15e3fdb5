//! What a location is: its addresses, how threads would go on from them, and what can be read
//! there. Files and `/proc` are read; nothing is attached, stopped or written.

mod address;
mod core;
mod debug_info;
mod file;
mod loaded;
mod target;

use std::path::PathBuf;

use lr_dwarf::Location;
use lr_protocol::{Explanation, Problem};

use crate::convert;
use crate::problem::of_status_error;

pub(crate) use self::core::{Core, bad_core};
pub use debug_info::{DebugInfoState, ModuleDebugInfo, debug_info_of};

/// What is to be explained.
#[derive(Clone, Debug)]
pub struct ExplainRequest {
    pub location: String,
    pub target: ExplainTarget,
    /// How many of the location's addresses; the others are counted.
    pub most_addresses: usize,
}

/// In what a location is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExplainTarget {
    Process(u32),
    /// An executable or a shared object.
    Binary(PathBuf),
    /// What the kernel or gdb kept of a process.
    Core(PathBuf),
}

/// Explains a location. It may take as long as the debug info is large, and blocks.
pub fn explain(request: &ExplainRequest) -> Result<Explanation, Problem> {
    let location = Location::parse(&request.location)
        .map_err(|error| of_status_error(convert::location_syntax(&error)))?;
    match &request.target {
        ExplainTarget::Process(pid) => target::in_process(request, &location, *pid),
        ExplainTarget::Binary(path) => file::in_binary(request, &location, path),
        ExplainTarget::Core(path) => target::in_core(request, &location, path),
    }
}
