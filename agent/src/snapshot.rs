//! What a snapshot of a core shows: stacks, and the variables of the top frames. Files are read;
//! nothing runs.

use std::path::{Path, PathBuf};

use lr_dwarf::{
    Core, CoreMemory, CoreModules, CoreThread, DebugFiles, FrameKind, Limits, Reached, Stack,
    StackEnd, Target,
};
use lr_protocol::{Problem, Snapshot, SnapshotFrame, SnapshotThread};

use crate::convert;
use crate::problem::problem;

/// Frames of a stack, and how many of them with their variables.
const FRAMES: usize = 20;
const WITH_VARIABLES: usize = 5;
/// Bytes of a core that are read for one stack and for the variables of one frame.
const MAX_READ: u64 = 16 << 20;

/// What is to be shown.
#[derive(Clone, Debug)]
pub struct CoreSnapshotRequest {
    pub core: PathBuf,
    /// The program's own file, where it is not where it was.
    pub binary: Option<PathBuf>,
    /// Whether containers are shown as the structures that they are made of.
    pub raw: bool,
}

/// Reads a core: its first thread with variables, the others' stacks. It blocks.
pub fn snapshot_of_core(request: &CoreSnapshotRequest) -> Result<Snapshot, Problem> {
    let core = Core::open(&request.core).map_err(|error| crate::explain::bad_core(&error))?;
    let found = CoreModules::open(&core, request.binary.as_deref(), &DebugFiles::host());
    let memory = CoreMemory::new(&core, &found.modules);
    let target = Target::new(&found.modules, Box::new(memory));
    let Some((first, others)) = core.threads().split_first() else {
        return Err(empty(&request.core));
    };
    let (mut frames, end) = variables(&target, first, request.raw);
    let mut snapshot = Snapshot {
        tid: first.tid,
        frames: Vec::new(),
        watches: Vec::new(),
        registers: Vec::new(),
        end,
        threads: Vec::new(),
        warnings: Vec::new(),
    };
    snapshot.frames.append(&mut frames);
    for thread in others {
        let stack = walk(&target, thread);
        snapshot.threads.push(SnapshotThread {
            tid: thread.tid,
            end: end_of(&stack),
            frames: stack.frames.iter().map(frame).collect(),
        });
    }
    for missing in &found.missing {
        let path = missing.path.display();
        snapshot
            .warnings
            .push(format!("{path} is not read: {}", missing.why));
    }
    for module in &found.modules {
        let is_used = |frame: &SnapshotFrame| Path::new(&frame.module) == module.path;
        if snapshot.frames.iter().any(is_used)
            && !module.binary.has_debug_info()
            && module.path != Path::new("[vdso]")
        {
            let path = module.path.display();
            snapshot.warnings.push(format!(
                "{path} has no debug info: its functions are told by their symbols"
            ));
        }
    }
    let is_whole = found.modules.iter().all(|module| module.binary.is_whole());
    match core.is_whole() && is_whole {
        true => Ok(snapshot),
        false => Err(problem(
            "file_changed",
            "a file was cut short while it was read",
            format!("reading {}", request.core.display()),
            &["try again"],
        )),
    }
}

fn walk<'a>(target: &Target<'a>, thread: &CoreThread) -> Stack<'a> {
    target.limit(MAX_READ);
    Stack::walk(target, &thread.registers, FRAMES)
}

fn variables(target: &Target<'_>, thread: &CoreThread, raw: bool) -> (Vec<SnapshotFrame>, String) {
    let limits = Limits {
        raw,
        ..Limits::WHOLE
    };
    let stack = walk(target, thread);
    let mut frames = Vec::new();
    for (index, known) in stack.frames.iter().enumerate() {
        let mut frame = frame(known);
        if index < WITH_VARIABLES {
            target.limit(MAX_READ);
            let values = lr_dwarf::variables(target, &stack, known, &limits);
            frame.variables = Some(values.into_iter().map(convert::captured).collect());
        }
        frames.push(frame);
    }
    (frames, end_of(&stack))
}

fn frame(frame: &lr_dwarf::Frame) -> SnapshotFrame {
    SnapshotFrame {
        function: frame.function.clone(),
        file: frame.file.clone(),
        line: frame.line,
        inlined: frame.kind == FrameKind::Inlined,
        signal: frame.kind == FrameKind::Signal,
        tail_call: frame.kind == FrameKind::TailCall,
        guessed: frame.reached == Reached::Guessed,
        skips: frame.reached == Reached::Skipping,
        module: frame.module.display().to_string(),
        address: format!("{:#x}", frame.address),
        variables: None,
    }
}

fn end_of(stack: &Stack<'_>) -> String {
    match &stack.end {
        StackEnd::Bottom => String::new(),
        StackEnd::Limit => format!("more than {FRAMES} frames"),
        StackEnd::Broken(why) => why.clone(),
    }
}

fn empty(path: &Path) -> Problem {
    problem(
        "bad_core",
        format!("{} has no threads", path.display()),
        "",
        &[],
    )
}
