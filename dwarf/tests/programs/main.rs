//! Debug info of real compilers: what is found in it, compared with what gdb finds and with what
//! the programs are known to do.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod asked;
mod asked_values;
mod containers;
mod cores;
mod crashes;
mod differential;
mod documented;
mod entered;
mod forms;
mod gdb;
mod headers;
mod hostile;
mod hostile_files;
mod languages;
mod live;
mod locations;
mod mutations;
mod passes;
mod properties;
mod refused;
mod rust_values;
mod stacks;
mod switches;
mod symbols;
mod tails;
mod values;
mod variables;
mod watches;
