//! What is kept: DuckDB behind one writer and some readers.
//!
//! Constraints, and what follows from them:
//! - All DuckDB work blocks, so none of it runs on the threads of the async runtime: writes go
//!   through a bounded queue to the writer's thread, queries run on blocking threads.
//! - One connection writes. Batches that wait together are committed together, and each is
//!   answered after the commit.
//! - The database has no access to files (but for one folder that exports pass through) or the
//!   network, and its configuration is locked, for user SQL runs in it.

mod database;
mod fields;
mod load;
mod parquet;
mod query;
mod recall;
mod render;
mod replay;
mod rows;
mod schema;
mod seen;
mod statement;
mod writer;

pub(crate) use database::Database;
pub(crate) use load::load_registry;
pub(crate) use query::{Queries, QueryLimits};
pub(crate) use recall::snapshot_of;
pub(crate) use render::csv;
pub(crate) use replay::{Shown, replay};
pub(crate) use writer::{BatchJob, Writer, WriterHandle};
