//! Reading debug info before anybody waits for it.

use std::sync::Arc;

use lr_dwarf::{Limits, Stack, Target, ThreadRegisters};

use super::gate::Gate;
use super::memory::StoodMemory;
use super::others::{Whereabouts, threads_of, whereabouts};

const FRAMES: usize = 20;
/// As in `stand`.
const MOST_INLINED: usize = 12;
const WITH_VARIABLES: usize = 5;
/// Threads whose stacks are walked for what they come through.
const THREADS: usize = 8;
const MAX_READ: u64 = 256 << 10;
/// By DWARF number (System V psABI for x86-64, figure 3.36).
const RBP: usize = 6;
const RSP: usize = 7;
const RIP: usize = 16;

/// Reads what will be asked of a thread that stops at one of these addresses. It is done as if a
/// thread that sleeps stood there: the values are nonsense, and what is read of the debug info to
/// make them is not. Nothing of it is told.
pub(super) fn prepare(target: &Target<'_>, memory: &StoodMemory, pid: u32, addresses: &[u64]) {
    let mut stack_of_one = 0;
    for &tid in threads_of(pid).iter().take(THREADS) {
        let Whereabouts::Asleep { pc, sp, .. } = whereabouts(pid, tid) else {
            continue;
        };
        stack_of_one = sp;
        memory.begin(tid, &Arc::new(Gate::default()));
        target.limit(MAX_READ);
        let stack = Stack::walk_asleep(target, pc, sp, FRAMES);
        for frame in stack.frames.iter().take(WITH_VARIABLES) {
            lr_dwarf::variables(target, &stack, frame, &Limits::SCOPE);
        }
    }
    if stack_of_one == 0 {
        memory.begin(pid, &Arc::new(Gate::default()));
    }
    for &address in addresses {
        let mut registers = ThreadRegisters::default();
        registers.general[RIP] = address;
        registers.general[RSP] = stack_of_one;
        registers.general[RBP] = stack_of_one.saturating_add(256);
        target.limit(MAX_READ);
        let stack = Stack::walk(target, &registers, FRAMES);
        // What is inlined there and not entered yet is left out when it counts.
        for frame in stack.frames.iter().take(WITH_VARIABLES + MOST_INLINED) {
            target.limit(MAX_READ);
            lr_dwarf::variables(target, &stack, frame, &Limits::SCOPE);
        }
    }
}
