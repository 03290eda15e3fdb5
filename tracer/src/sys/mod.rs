//! Raw system calls, one small safe function each. All `unsafe` of the crate is here.
#![allow(unsafe_code)]

mod fd;
mod file;
mod memory;
mod ptrace;
mod sched;
mod shm;
mod signal;
mod trapper;
mod wait;

pub(crate) use fd::{event_fd, inherited, spawn_tracer};
pub(crate) use file::has_file_capabilities;
pub(crate) use memory::same_address_space;
pub(crate) use ptrace::{
    Call, FLAG_TRAP, StopSignal, TrapOrigin, UserRegisters, continue_to_call, continue_with,
    detach, entered_call, get_extended, get_float_registers, get_registers, get_signal_mask,
    get_vectors, interrupt, is_from_kernel, listen, seize, set_registers, set_signal_mask,
    single_step, trap_origin,
};
pub(crate) use sched::{Policy, policy, set_policy};
pub(crate) use shm::SharedMemory;
pub(crate) use signal::{
    WAKE, install_termination_handler, install_wake_handler, termination_requested, wake_thread,
};
pub(crate) use trapper::Trapper;
pub(crate) use wait::{WaitEvent, WaitTarget, collect_stop, has_exited, reap, wait_stop};
