//! Policy beside the process: actions become sites, hits become events, events reach the server.
//!
//! Constraints, and what follows from them:
//! - Nothing here touches a target: that is the tracer's, a process of its own that puts
//!   everything back when this one is gone.
//! - An agent knows what the server and its arguments told it and nothing else; it keeps no files
//!   but what it could do without: indexes of debug info, and debug files that servers sent.
//! - Two threads share two mailboxes: one blocks on the tracer and on debug info, the other talks
//!   to the server. Memory is bounded; what does not fit is counted, and the count is sent.

mod args;
mod bind;
pub mod checks;
pub mod client;
mod clock;
mod convert;
mod courtesy;
mod debug_files;
mod engine;
pub mod escape;
mod event;
mod explain;
pub mod host;
mod indexed;
mod journal;
mod launch;
mod locate;
mod maps;
mod modules;
mod note;
mod orders;
mod outbox;
mod problem;
pub mod process;
mod reading;
mod ready;
mod repair;
mod session;
mod signal;
mod snapshot;
mod tracer;

pub use explain::{
    DebugInfoState, ExplainRequest, ExplainTarget, ModuleDebugInfo, debug_info_of, explain,
};
pub use launch::{LaunchFailure, LaunchRequest, launch};
pub use repair::{RepairError, Repaired, Stray, Strays, repair, strays};
pub use snapshot::{CoreSnapshotRequest, snapshot_of_core};
pub use tracer::tracer_main;
