//! The server as its clients see it: the real binary, spoken to over its socket and its ports.

// The lint knows tests by their attribute; these are their helpers.
#![allow(clippy::unwrap_used)]
#![recursion_limit = "256"]

mod actions;
mod client;
mod events;
mod fixture;
mod ingest;
mod leases;
mod live;
mod local;
mod portal;
mod queries;
mod sql_docs;
mod throughput;
mod token;
