//! The HTTP client of the server's API, for agents and for `lr` itself.
//!
//! Constraints, and what follows from them:
//! - It runs on a current-thread runtime beside other work, so nothing here blocks and every
//!   request has a time limit.
//! - The server may be older, newer, or something else that listens there: every answer is bounded
//!   in size and checked, and what is not understood is an error that says so.
//! - A token travels in one header and is never shown, logged or taken from arguments.

mod connection;
mod endpoint;
mod error;
mod live;
mod local;
mod request;
mod routes;
mod spawn;
mod sse;
mod state_dir;
mod token;

#[cfg(test)]
mod tests;

pub use endpoint::{Endpoint, EndpointSyntax};
pub use error::ClientError;
pub use live::{LiveQuery, LiveStream};
pub use local::{Arrival, Local, LocalError, LocalServer};
pub use request::Download;
pub use routes::{Client, Listing};
pub use spawn::{SERVER_PROCESS, server_process};
pub use state_dir::{Invoker, Presence, StateDir, StateDirError};
pub use token::Token;
