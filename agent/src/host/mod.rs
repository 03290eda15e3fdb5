//! What the kernel says about a process: `/proc` decoded once, here, into our types.
//!
//! Everything in `/proc/pid` is chosen by the target or by its container: parsers take text,
//! never panic, and call what they do not understand absent.

mod capability;
mod cgroup;
mod elf_ident;
mod facts;
mod id;
mod living;
mod signals;
mod stat;
mod status;
mod yama;

pub use capability::{Capability, CapabilitySet};
pub use cgroup::container_id;
pub use elf_ident::ElfIdent;
pub use facts::{FactsError, ProcessFacts, TracedBy, comm_of, process_ids, tracer_of};
pub(crate) use facts::{read_stat, thread_name};
pub use id::{process_id, process_id_of};
pub use living::{is_stopped, living_thread};
pub use signals::TrapSignal;
pub use stat::{Stat, StatError};
pub use status::{Ids, Status};
pub use yama::YamaScope;
