//! What a snapshot of a core shows: stacks, and the variables of the top frames. Files are read;
//! nothing runs.

use std::path::{Path, PathBuf};

use lr_dwarf::{
    CompileErrorKind, Core, CoreMemory, CoreModules, CoreThread, DebugFiles, FrameKind, Limits,
    Part, Reached, Stack, StackEnd, Target,
};
use lr_protocol::{CapturedValue, Problem, Snapshot, SnapshotFrame, SnapshotThread};

use crate::convert;
use crate::problem::problem;
use crate::signal;

/// Bytes of a core that are read for one stack and for the variables of one frame.
const MAX_READ: u64 = 16 << 20;
const READ_PER_FRAME: u64 = 256;

/// What is to be shown.
#[derive(Clone, Debug)]
pub struct CoreSnapshotRequest {
    pub core: PathBuf,
    /// The program's own file, where it is not where it was.
    pub binary: Option<PathBuf>,
    /// The thread whose variables are told; the one that the process died of, where none is named.
    pub thread: Option<u32>,
    /// The most frames of a stack.
    pub frames: usize,
    /// How many of them with their variables.
    pub with_variables: usize,
    /// Expressions over the variables of the innermost frame in which they mean something.
    pub watches: Vec<String>,
    /// Whether containers are shown as the structures that they are made of.
    pub raw: bool,
}

/// Reads a core: one thread with variables, the others' stacks. It blocks.
pub fn snapshot_of_core(request: &CoreSnapshotRequest) -> Result<Snapshot, Problem> {
    let core = Core::open(&request.core).map_err(|error| crate::explain::bad_core(&error))?;
    let found = CoreModules::open(&core, request.binary.as_deref(), &DebugFiles::host());
    let memory = CoreMemory::new(&core, &found.modules);
    let target = Target::new(&found.modules, Box::new(memory)).with_missing(&found.missing);
    let chosen = chosen(&core, request)?;
    let stack = walk(&target, chosen, request);
    let frames = variables(&target, &stack, request);
    let mut snapshot = Snapshot {
        tid: chosen.tid,
        signal: chosen.signal.as_ref().map(signal::of),
        frames,
        watches: Vec::new(),
        registers: Vec::new(),
        end: end_of(&stack, request.frames),
        threads: Vec::new(),
        warnings: Vec::new(),
    };
    for expression in &request.watches {
        let (watched, frame) = watched(&target, &stack, expression, request)?;
        if frame > 0 {
            let function = &snapshot.frames[frame].function;
            snapshot
                .warnings
                .push(format!("`{expression}` is of frame {frame}, {function}"));
        }
        snapshot.watches.push(watched);
    }
    for thread in core.threads() {
        if std::ptr::eq(thread, chosen) {
            continue;
        }
        let stack = walk(&target, thread, request);
        snapshot.threads.push(SnapshotThread {
            tid: thread.tid,
            name: String::new(),
            end: end_of(&stack, request.frames),
            frames: stack.frames.iter().map(frame).collect(),
        });
    }
    if core.lost() > 0 {
        let (path, lost) = (request.core.display(), core.lost());
        snapshot.warnings.push(format!(
            "{path} was cut short: {lost} bytes of memory are missing"
        ));
    }
    for path in &found.unverified {
        let path = path.display();
        snapshot.warnings.push(format!(
            "whether {path} is what the process ran is not known: the core leaves out its first page"
        ));
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

fn chosen<'c>(core: &'c Core, request: &CoreSnapshotRequest) -> Result<&'c CoreThread, Problem> {
    let mut threads = core.threads().iter();
    let Some(tid) = request.thread else {
        return threads.next().ok_or_else(|| empty(&request.core));
    };
    threads.find(|thread| thread.tid == tid).ok_or_else(|| {
        const SHOWN: usize = 20;
        let known = core.threads().iter().take(SHOWN);
        let mut known: Vec<String> = known.map(|thread| thread.tid.to_string()).collect();
        if core.threads().len() > SHOWN {
            known.push("…".to_owned());
        }
        problem(
            "no_such_thread",
            format!("{} has no thread {tid}", request.core.display()),
            "",
            &[&format!("it has {}", known.join(", "))],
        )
    })
}

fn walk<'a>(target: &Target<'a>, thread: &CoreThread, request: &CoreSnapshotRequest) -> Stack<'a> {
    let frames = u64::try_from(request.frames).unwrap_or(u64::MAX);
    target.limit(MAX_READ.max(frames.saturating_mul(READ_PER_FRAME)));
    Stack::walk(target, &thread.registers, request.frames)
}

/// A value, and the number of its frame.
fn watched<'a>(
    target: &Target<'a>,
    stack: &Stack<'a>,
    expression: &str,
    request: &CoreSnapshotRequest,
) -> Result<(CapturedValue, usize), Problem> {
    let limits = Limits {
        raw: request.raw,
        ..Limits::WHOLE
    };
    let mut first = None;
    for (number, frame) in stack.frames.iter().enumerate().take(request.frames) {
        target.limit(MAX_READ);
        match lr_dwarf::watch(target, stack, frame, expression, &limits) {
            Ok(value) => return Ok((convert::captured(value), number)),
            // The names may be those of a caller.
            Err(error) => {
                let is_final = matches!(error.kind, CompileErrorKind::Syntax { .. });
                let is_first = first.is_none();
                if is_first
                    || !matches!(
                        error.kind,
                        CompileErrorKind::UnknownVariable { .. } | CompileErrorKind::NoCode
                    )
                {
                    first = Some(error);
                }
                if is_final {
                    break;
                }
            }
        }
    }
    Err(match first {
        Some(mut error) => {
            error.part = Part::Watch;
            let error = convert::compile_error(&error);
            let tried = format!("the watch `{expression}`, in each frame");
            let mut problem = problem(&error.code, error.message, tried, &[]);
            problem.suggestions = error.suggestions;
            problem
        }
        None => problem(
            "no_frames",
            "the stack has no frames to look for variables in",
            format!("the watch `{expression}`"),
            &[],
        ),
    })
}

fn variables<'a>(
    target: &Target<'a>,
    stack: &Stack<'a>,
    request: &CoreSnapshotRequest,
) -> Vec<SnapshotFrame> {
    let limits = Limits {
        raw: request.raw,
        ..Limits::WHOLE
    };
    let mut frames = Vec::new();
    for (index, known) in stack.frames.iter().enumerate() {
        let mut frame = frame(known);
        if index < request.with_variables {
            target.limit(MAX_READ);
            let values = lr_dwarf::variables(target, stack, known, &limits);
            frame.variables = Some(values.into_iter().map(convert::captured).collect());
        }
        frames.push(frame);
    }
    frames
}

pub(crate) fn frame(frame: &lr_dwarf::Frame) -> SnapshotFrame {
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

pub(crate) fn end_of(stack: &Stack<'_>, frames: usize) -> String {
    match &stack.end {
        StackEnd::Bottom => String::new(),
        StackEnd::Limit => format!("more than {frames} frames"),
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
