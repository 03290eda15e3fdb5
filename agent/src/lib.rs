//! Policy beside the process: actions become probes, hits become events, events reach the server.

pub mod client;
