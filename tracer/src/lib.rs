//! Mechanism: one process attached, stopped and resumed safely.
//!
//! The crate has two halves that talk over one socket and one piece of shared memory. The
//! *handle* ([`Tracer`]) lives in the agent: it chooses how each site will be resumed, sends
//! commands and reads records. The *tracer process* ([`tracer_main`]) holds the target.
//!
//! Constraints, and what follows from them:
//! - The tracer process outlives nobody's wish: when its socket closes, for whatever reason, it
//!   puts every byte back and lets go. It therefore has no network, no debug info, no state worth
//!   keeping, and its own session.
//! - Only [`process`](self)'s `text` module writes to a target, one byte at a time.
//! - No thread of a target is interrupted: attaching seizes, letting go ends the tracer thread.
//! - Stops are read with `WNOWAIT` and never collected: a tracer killed at any moment leaves a
//!   target that dies cleanly of its pending SIGTRAP rather than one that lives on with a wrong
//!   register.
//! - It knows neither DWARF nor the wire: programs, addresses, slots and records only.

mod circumstances;
mod command;
mod error;
mod groups;
mod guard;
mod handle;
mod histogram;
mod journal;
mod plan;
mod process;
mod record;
mod remote;
mod resume;
mod ring;
mod shared;
mod sys;
mod xsave;

pub use circumstances::Circumstances;
pub use command::{
    Aggregate, AmendAction, ArmAction, Armed, Mode, Rate, Released, SiteProgram, Slot,
};
pub use error::TracerError;
pub use groups::{Group, GroupKey, Groups, Numbers};
pub use guard::Rescued;
pub use handle::Tracer;
pub use histogram::Bucket;
pub use journal::{JournalOwner, PlantedByte, read_journal};
pub use plan::{
    MAY_MISS_HITS, PlanError, ResumeKind, SitePlan, TextRange, disassemble, instruction_length,
};
pub use process::{ACTION_SHARE, Aside, PAUSE, PutBack, tracer_main};
pub use record::{Ended, Record, StoppedRegisters};
pub use remote::RemoteMemory;
pub use shared::SlotCounters;
pub use xsave::xsave_offset;
