//! What a thread that stands still was doing: its frames, their variables, what was asked for.

use std::sync::Arc;

use lr_dwarf::{CompileError, Layout, Limits, Stack, Target, ThreadRegisters, Value, XsaveLayout};
use lr_probe::Memory;
use lr_protocol::{
    Absent, AbsentReason, CapturedValue, SNAPSHOT_BYTES, Snapshot, SnapshotFrame, SnapshotSpec,
    SnapshotThread, ValueKind,
};
use lr_tracer::StoppedRegisters;

use super::gate::Gate;
use super::memory::StoodMemory;
use super::others::{Whereabouts, threads_of, whereabouts};
use super::size;
use crate::convert;
use crate::snapshot::{end_of, frame};

/// Frames of a stack, and how many of them with their variables.
const FRAMES: usize = 20;
const WITH_VARIABLES: usize = 5;
/// Functions whose inlined code begins where a thread stands, and which it has not entered.
const MOST_INLINED: usize = 12;
/// The frame of a log, whatever is inlined there, and its caller, which may know entry values.
const FRAMES_FOR_TREES: usize = 8;
/// A value that was not read in time has the reason `budget` in its place.
const CUT: &str = "cut (budget): the thread had to go on before all of it was read";
/// What a snapshot takes without watches.
const WITHOUT_WATCHES: usize = 64 << 10;
/// Bytes of memory that are read for one stack, and for one frame's variables or one watch.
const MAX_READ: u64 = 1 << 20;
/// How often a thread is looked at that runs each time.
const TRIES: usize = 3;
/// Threads that are told of beside the one that hit.
const MOST_THREADS: usize = 1000;
/// By DWARF number (System V psABI for x86-64, figure 3.36).
const REGISTERS: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip",
];
const RSP: usize = 7;
const RED_ZONE: u64 = 128;

/// A thread that is held, and what is wanted of it.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) registers: StoppedRegisters,
    /// What XSAVE keeps of the vectors.
    pub(crate) extended: Vec<u8>,
    pub(crate) wanted: Wanted,
}

#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// With the layout of the site, which knows whose line it is.
    Snapshot(SnapshotSpec, Layout),
    /// The wholes in a log's template.
    Trees(Layout),
}

/// What was read of it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Read {
    Snapshot {
        snapshot: Box<Snapshot>,
        /// The same for stacks of the same functions and lines.
        stack_hash: String,
    },
    Trees(Vec<Value>),
}

/// Reads it.
pub(super) fn read(target: &Target<'_>, memory: &StoodMemory, standing: &Standing) -> Read {
    match &standing.wanted {
        Wanted::Snapshot(wanted, layout) => snapshot(target, memory, standing, wanted, layout),
        Wanted::Trees(layout) => {
            target.limit(MAX_READ);
            let registers = thread_registers(standing);
            let stack = Stack::walk(target, &registers, FRAMES_FOR_TREES);
            Read::Trees(layout.read_trees(target, &stack))
        }
    }
}

/// What comes last is what is done without if there is no time.
fn snapshot(
    target: &Target<'_>,
    memory: &StoodMemory,
    standing: &Standing,
    wanted: &SnapshotSpec,
    layout: &Layout,
) -> Read {
    memory.copy_stack(standing.registers.general[RSP].saturating_sub(RED_ZONE));
    target.limit(MAX_READ);
    let registers = thread_registers(standing);
    let mut stack = Stack::walk(target, &registers, FRAMES + MOST_INLINED);
    layout.begin(&mut stack);
    stack.cut(FRAMES);
    let mut watches = Vec::new();
    if let Some(top) = stack.frames.first() {
        for expression in &wanted.watches {
            target.limit(MAX_READ);
            let value = lr_dwarf::watch(target, &stack, top, expression, &Limits::WHOLE);
            watches.push(match value {
                Ok(value) => convert::captured(value),
                Err(error) => refused(expression, &error),
            });
        }
    }
    let mut frames = Vec::new();
    for (index, known) in stack.frames.iter().enumerate() {
        let mut frame = frame(known);
        if index < WITH_VARIABLES {
            target.limit(MAX_READ);
            let values = lr_dwarf::variables(target, &stack, known, &Limits::SCOPE);
            frame.variables = Some(values.into_iter().map(convert::captured).collect());
        }
        frames.push(frame);
    }
    let mut warnings = Vec::new();
    if memory.is_closed() {
        warnings.push(CUT.to_owned());
    }
    let registers = match wanted.registers {
        true => in_words(&standing.registers),
        false => Vec::new(),
    };
    let threads = match wanted.all_threads {
        true => others(target, memory, standing),
        false => Vec::new(),
    };
    let stack_hash = hash_of(&frames);
    let mut snapshot = Snapshot {
        tid: standing.tid,
        signal: None,
        frames,
        watches,
        registers,
        end: end_of(&stack, FRAMES),
        threads,
        warnings,
    };
    let most = match wanted.watches.is_empty() {
        true => WITHOUT_WATCHES,
        false => SNAPSHOT_BYTES,
    };
    size::cut(&mut snapshot, most);
    Read::Snapshot {
        snapshot: Box::new(snapshot),
        stack_hash,
    }
}

fn thread_registers(standing: &Standing) -> ThreadRegisters {
    let mut registers = ThreadRegisters {
        general: standing.registers.general,
        fs_base: standing.registers.fs_base,
        xmm: Some(standing.registers.xmm),
        st: Some(standing.registers.st),
        ..ThreadRegisters::default()
    };
    // The thread is one of this processor's.
    let layout = XsaveLayout::of(lr_tracer::xsave_offset);
    registers.add_extended(&standing.extended, layout);
    registers
}

/// What a watch that makes no sense at the place is told as: the others are told.
fn refused(expression: &str, error: &CompileError) -> CapturedValue {
    CapturedValue {
        name: expression.to_owned(),
        type_name: String::new(),
        kind: ValueKind::Unknown,
        value: None,
        children: Vec::new(),
        absent: Some(Absent {
            reason: AbsentReason::Unsupported,
            detail: error.to_string(),
        }),
    }
}

fn in_words(registers: &StoppedRegisters) -> Vec<(String, String)> {
    let values = registers.general.iter().map(|value| format!("{value:#x}"));
    let names = REGISTERS.iter().map(|&name| name.to_owned());
    names.zip(values).collect()
}

/// The stacks of the other threads. They are not stopped: of those that sleep, what is read counts
/// if they slept on until it was.
fn others(target: &Target<'_>, memory: &StoodMemory, standing: &Standing) -> Vec<SnapshotThread> {
    let tids = threads_of(standing.pid);
    let others = tids.into_iter().filter(|&tid| tid != standing.tid);
    others
        .take(MOST_THREADS)
        .filter_map(|tid| other(target, memory, standing.pid, tid))
        .collect()
}

fn other(target: &Target<'_>, memory: &StoodMemory, pid: u32, tid: u32) -> Option<SnapshotThread> {
    let running = |end: &str| SnapshotThread {
        tid,
        name: thread_name(pid, tid),
        frames: Vec::new(),
        end: end.to_owned(),
    };
    for _ in 0..TRIES {
        match sleeper(target, memory, pid, tid) {
            Sleep::Read(thread) => return Some(*thread),
            Sleep::Running => return Some(running("it runs")),
            Sleep::Ended => return None,
            Sleep::Interrupted => {}
        }
    }
    Some(running("it runs: it never slept until it was read"))
}

/// Empty where it has ended.
fn thread_name(pid: u32, tid: u32) -> String {
    crate::host::thread_name(pid, tid).unwrap_or_default()
}

/// How reading another thread went.
enum Sleep {
    Read(Box<SnapshotThread>),
    Running,
    /// It ran while it was read.
    Interrupted,
    Ended,
}

fn sleeper(target: &Target<'_>, memory: &StoodMemory, pid: u32, tid: u32) -> Sleep {
    let before = whereabouts(pid, tid);
    let (pc, sp) = match before {
        Whereabouts::Asleep { pc, sp, .. } => (pc, sp),
        Whereabouts::Running => return Sleep::Running,
        Whereabouts::Gone => return Sleep::Ended,
    };
    // Whether it counts depends on its own sleep, and not on the thread that is held.
    memory.begin(tid, &Arc::new(Gate::default()));
    memory.copy_stack(sp.saturating_sub(RED_ZONE));
    target.limit(MAX_READ);
    let stack = Stack::walk_asleep(target, pc, sp, FRAMES);
    let thread = SnapshotThread {
        tid,
        name: thread_name(pid, tid),
        frames: stack.frames.iter().map(frame).collect(),
        end: end_of(&stack, FRAMES),
    };
    match whereabouts(pid, tid) == before {
        true => Sleep::Read(Box::new(thread)),
        false => Sleep::Interrupted,
    }
}

/// FNV-1a: the same in every version, which a standard library's hash is not.
fn hash_of(frames: &[SnapshotFrame]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |bytes: &[u8]| {
        for &byte in bytes.iter().chain(&[0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for frame in frames {
        add(frame.function.as_bytes());
        add(frame.file.as_bytes());
        add(&frame.line.to_le_bytes());
    }
    format!("{hash:016x}")
}
