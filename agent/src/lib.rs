//! Policy beside the process: actions become sites, hits become events, events reach the server.

mod args;
pub mod checks;
pub mod client;
pub mod host;
mod launch;
mod problem;
mod ready;

pub use launch::{LaunchFailure, LaunchRequest, launch};
