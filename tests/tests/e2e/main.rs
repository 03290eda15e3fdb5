//! End to end: the real `lr`, `lr-server`, agent, tracer and targets.
//!
//! Each test has a state directory of its own, so a server of its own, and stops it. What a test
//! needs and the machine does not have (root, another user) is said in the test's output.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests, which clippy.toml's exception does not see"
)]

mod actions;
mod actions_docs;
mod alone;
mod asking;
mod attach;
mod binaries;
mod budget;
mod counts;
mod ends;
mod explain;
mod hostile;
mod libraries;
mod outputs;
mod reasons;
mod refusals;
mod repair;
mod running;
mod servers;
mod snapshots;
mod store;
mod structure;
mod users;
mod values;
mod world;
