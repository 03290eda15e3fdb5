//! What crosses the wire between agents, the server and clients: JSON over HTTP.
//!
//! Constraints, and what follows from them:
//! - A type here is a promise to peers of another version: fields are added with a default and
//!   never change their meaning; unknown fields are ignored; an unknown kind of action decodes as
//!   [`ActionKind::Unknown`] and becomes that action's error, not the batch's.
//! - A server speaks [`PROTOCOL_VERSION`] and the one before it.
//! - Data only: no I/O, no policy, no defaults that somebody else decides.
//! - Times are microseconds since the Unix epoch, UTC, unless a name says otherwise.

mod action;
mod agent;
mod batch;
mod explanation;
mod live;
mod name;
mod problem;
mod query;
mod server;
mod snapshot;
mod value;

pub use action::{
    Action, ActionKind, ActionSpec, ActionStatus, ActionTarget, BoundAddress, CounterSpec, Counts,
    DuplicateAction, EditAction, Level, LogSpec, MetricSpec, NewAction, Output, SnapshotSpec,
    State, StatusError, Stopped,
};
pub use agent::{
    Agent, AgentState, Linger, ProcessInfo, RegisterAgent, Registered, WantedAction, WantedActions,
};
pub use batch::{
    Batch, BatchAccepted, Coverage, End, EndReason, HistogramBucket, LogEvent, Loss, MetricRow,
    Overhead, SnapshotEvent,
};
pub use explanation::{
    ExplainedAddress, ExplainedCall, ExplainedInstruction, ExplainedModule, ExplainedTarget,
    ExplainedVariable, Explanation, LineRange, NotBound, PiecePlace, Residence, Resume,
    VariableKind,
};
pub use live::{LiveEnd, LiveEvent, LiveLog, LiveLoss, LiveMetric, LiveSnapshot, LiveState};
pub use name::Name;
pub use problem::Problem;
pub use query::{Column, QueryFormat, QueryRequest, QueryResult};
pub use server::{PortalCode, PortalLogin, ServerInfo};
pub use snapshot::{
    CapturedValue, SNAPSHOT_BYTES, Snapshot, SnapshotFrame, SnapshotSignal, SnapshotThread,
    ValueKind,
};
pub use value::{Absent, AbsentReason, Field, FieldValue};

/// The version of what this crate describes.
pub const PROTOCOL_VERSION: u32 = 1;

/// What every path of the API begins with.
pub const API_PREFIX: &str = "/api/v1";
