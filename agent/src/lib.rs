//! Policy beside the process: actions become sites, hits become events, events reach the server.

mod args;
pub mod checks;
pub mod client;
mod clock;
mod convert;
pub mod host;
mod launch;
mod maps;
mod modules;
mod orders;
mod outbox;
mod problem;
mod ready;
mod session;

pub use launch::{LaunchFailure, LaunchRequest, launch};
