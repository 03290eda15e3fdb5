//! Stacks in cores, beside gdb's backtraces of the same cores.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use lr_dwarf::{
    Core, CoreMemory, CoreModules, DebugFiles, Frame, FrameKind, Stack, StackEnd, Target,
};
use lr_fixtures::Fixture;

/// Runs in gdb: at each pass of a place a core, and what gdb says of the stack.
const TELL: &str = r#"
import gdb, os
folder, places = os.environ["LR_FOLDER"], os.environ["LR_PLACES"].split()
kinds = {gdb.NORMAL_FRAME: "called", gdb.INLINE_FRAME: "inlined",
         gdb.TAILCALL_FRAME: "tail", gdb.SIGTRAMP_FRAME: "signal"}
for setting in ("pagination off", "confirm off", "debuginfod enabled off",
                "backtrace past-main on", "backtrace past-entry on"):
    gdb.execute("set " + setting)
for signal in ("SIGUSR1", "SIGUSR2", "SIGILL", "SIGSEGV"):
    gdb.execute(f"handle {signal} nostop noprint pass", to_string=True)
gdb.execute(os.environ.get("LR_START", "start"), to_string=True)
for place in places:
    gdb.Breakpoint(place)
told = open(f"{folder}/told", "w")
stops = 0
while True:
    gdb.execute("continue", to_string=True)
    if gdb.selected_thread() is None:
        break
    gdb.execute(f"generate-core-file {folder}/core.{stops}", to_string=True)
    told.write("stop\n")
    frame, frames = gdb.newest_frame(), 0
    while frame is not None and frames < 64:
        line = frame.find_sal().line if frame.find_sal().symtab else 0
        kind = kinds.get(frame.type(), "other")
        told.write(f"{kind} {line} {frame.pc():#x} {frame.name() or ''}\n")
        try:
            frame = frame.older()
        except gdb.error:
            frame = None
        frames += 1
    stops += 1
told.write("end\n")
"#;

/// Cores of a program, and what gdb said when they were written.
pub(crate) struct Told {
    folder: PathBuf,
    pub(crate) stops: Vec<Vec<GdbFrame>>,
}

/// A frame as gdb tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GdbFrame {
    kind: String,
    line: u32,
    address: u64,
    function: String,
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Told {
    /// Runs a program to its end under gdb; places are gdb's words without blanks.
    pub(crate) fn of(program: &Path, places: &str) -> Told {
        Told::started(program, places, "start")
    }

    fn started(program: &Path, places: &str, start: &str) -> Told {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let (own, nth) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("lr-stacks-{own}-{nth}"));
        // Of a run that was killed, whose process had the same number.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut told = Told {
            folder,
            stops: Vec::new(),
        };
        let script = told.folder.join("tell.py");
        std::fs::write(&script, TELL).unwrap();
        let output = Command::new("gdb")
            .args(["-nx", "-q", "-batch", "-x"])
            .arg(&script)
            .arg("--args")
            .arg(program)
            .env("LR_FOLDER", &told.folder)
            .env("LR_PLACES", places)
            .env("LR_START", start)
            .stdin(Stdio::null())
            .output()
            .expect("gdb is installed");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = std::fs::read_to_string(told.folder.join("told")).unwrap_or_default();
        assert!(text.ends_with("end\n"), "{program:?}: {words}\n{text}");
        for line in text.lines() {
            match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
                ["stop"] => told.stops.push(Vec::new()),
                [kind, line, address, function] => {
                    let address = u64::from_str_radix(&address[2..], 16).unwrap();
                    told.stops.last_mut().unwrap().push(GdbFrame {
                        kind: kind.to_owned(),
                        line: line.parse().unwrap(),
                        address,
                        function: function.to_owned(),
                    });
                }
                _ => {}
            }
        }
        told
    }

    pub(crate) fn core(&self, stop: usize) -> Core {
        Core::open(&self.folder.join(format!("core.{stop}"))).unwrap()
    }

    /// Calls at each stop with the stack of the thread that gdb stopped. The program had the same
    /// files at the same addresses each time, so that they are opened once.
    pub(crate) fn each(&self, mut work: impl for<'a> FnMut(usize, &Target<'a>, &Stack<'a>)) {
        let found = CoreModules::open(&self.core(0), None, &DebugFiles::host());
        for (stop, frames) in self.stops.iter().enumerate() {
            let core = self.core(stop);
            let memory = CoreMemory::new(&core, &found.modules);
            let target = Target::new(&found.modules, Box::new(memory));
            let stopped = frames[0].address;
            let is_it = |thread: &&lr_dwarf::CoreThread| thread.registers.general[16] == stopped;
            let thread = core.threads().iter().find(is_it).unwrap();
            let stack = Stack::walk(&target, &thread.registers, 64);
            work(stop, &target, &stack);
        }
    }

    /// What is not gdb's, frame by frame.
    pub(crate) fn differences(&self) -> String {
        let mut found = String::new();
        self.each(|stop, _, stack| {
            let mut ours: Vec<GdbFrame> = stack.frames.iter().map(as_gdb_tells).collect();
            let mut theirs: Vec<GdbFrame> = self.stops[stop].iter().map(plain).collect();
            join_tail_calls(&mut ours);
            // Nobody called what a context begins with; gdb looks for its caller on its stack.
            if let Some(last) = ours.last_mut()
                && last.function == "__start_context"
            {
                theirs.truncate(ours.len());
                ours.pop();
                theirs.pop();
            }
            if ours != theirs || stack.end != StackEnd::Bottom {
                let shown = lines(&ours, &theirs);
                found += &format!("stop {stop}, end {:?}: {shown}", stack.end);
            }
        });
        found
    }
}

fn lines(ours: &[GdbFrame], theirs: &[GdbFrame]) -> String {
    let text = |frame: &GdbFrame| {
        let GdbFrame {
            kind,
            line,
            address,
            function,
        } = frame;
        format!("    {kind} {line} {address:#x} {function}\n")
    };
    let ours: String = ours.iter().map(text).collect();
    let theirs: String = theirs.iter().map(text).collect();
    format!("\n  ours\n{ours}  gdb's\n{theirs}")
}

fn as_gdb_tells(frame: &Frame) -> GdbFrame {
    let kind = match frame.kind {
        FrameKind::Called => "called",
        FrameKind::TailCall => "tail",
        FrameKind::Inlined => "inlined",
        FrameKind::Signal => "signal",
    };
    plain(&GdbFrame {
        kind: kind.to_owned(),
        line: frame.line,
        address: frame.address,
        function: frame.function.clone(),
    })
}

/// What both say in the same way: gdb gives signal frames no name of their own, C++ functions
/// their arguments, and symbols a size that they do not have.
fn plain(frame: &GdbFrame) -> GdbFrame {
    let mut frame = frame.clone();
    if frame.kind == "signal" {
        frame.function.clear();
        frame.line = 0;
    }
    if let Some(name) = frame.function.strip_prefix("__GI_") {
        frame.function = name.to_owned();
    }
    // One of several names for the same code.
    if frame.function == "gsignal" {
        "raise".clone_into(&mut frame.function);
    }
    // gdb cuts the number off `msort_with_tmp.part.0`.
    if let Some((name, number)) = frame.function.rsplit_once('.')
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        frame.function = name.to_owned();
    }
    if frame.function == "data" {
        frame.function.clear();
    }
    frame
}

/// gdb does not tell functions that were inlined into one that ended with a call: it gives that
/// frame the innermost's name and line.
fn join_tail_calls(frames: &mut Vec<GdbFrame>) {
    let mut at = 0;
    while at + 1 < frames.len() {
        let (this, next) = (&frames[at], &frames[at + 1]);
        let is_of_next = this.address == next.address && this.kind == "inlined";
        if is_of_next && next.kind == "tail" {
            "tail".clone_into(&mut frames[at].kind);
            frames.remove(at + 1);
            at = at.saturating_sub(1);
        } else {
            at += 1;
        }
    }
}

/// Every stack of `stacks.c` in one build of it.
#[track_caller]
fn check_all(program: &Path) {
    let told = Told::of(program, "stop");
    assert_eq!(told.stops.len(), 13);
    let found = told.differences();
    assert!(found.is_empty(), "{found}");
}

fn stacks() -> Fixture {
    Fixture::c("stacks.c")
}

#[test]
fn of_gcc() {
    check_all(&stacks().build());
    check_all(&stacks().opt('2').build());
    check_all(&stacks().opt('3').flag("-fomit-frame-pointer").build());
    check_all(&stacks().opt('2').flag("-fno-omit-frame-pointer").build());
}

#[test]
fn of_clang() {
    check_all(&stacks().clang().build());
    check_all(&stacks().clang().opt('2').build());
    check_all(
        &stacks()
            .clang()
            .opt('3')
            .flag("-fomit-frame-pointer")
            .build(),
    );
}

/// Without `.eh_frame` of its own: libraries have theirs.
#[test]
fn with_unwind_tables_for_debuggers_alone() {
    for level in ['0', '2'] {
        let with = |fixture: Fixture| fixture.opt(level).flag("-fno-asynchronous-unwind-tables");
        check_all(&with(stacks()).build());
        check_all(&with(stacks().clang()).build());
    }
}

#[test]
fn of_static_programs() {
    check_all(&stacks().opt('2').linked_statically().build());
    check_all(&stacks().opt('2').linked_statically().no_pie().build());
}

/// While an exception is in flight, in what cleans up, where it is caught, and where nobody does.
#[test]
fn of_exceptions() {
    let places = "at_rest __cxa_throw _Unwind_RaiseException __cxa_rethrow";
    for level in ['0', '2'] {
        let plain = Fixture::cpp("thrown.cpp").opt(level);
        for fixture in [plain.clone(), plain.clang()] {
            let told = Told::of(&fixture.build(), places);
            let mut seen = Vec::new();
            told.each(|_, _, stack| {
                let names = stack.frames.iter().map(|frame| frame.function.clone());
                seen.push(names.collect::<Vec<_>>());
            });
            let has = |inner: &str, outer: &str| {
                let is_it = |names: &&Vec<String>| {
                    names.first().is_some_and(|name| name == inner)
                        && names.iter().any(|name| name.contains(outer))
                };
                assert!(seen.iter().any(|names| is_it(&names)), "{inner} {seen:#?}");
            };
            has("__cxa_throw", "throws");
            has("__cxa_throw", "catches");
            has("_Unwind_RaiseException", "catches");
            has("__cxa_rethrow", "rethrows");
            has("at_rest", "~Guard");
            has("at_rest", "catches");
            has("at_rest", "nobody_caught");
            has("at_rest", "forbids");
            let found = told.differences();
            assert!(found.is_empty(), "{fixture:?} {found}");
        }
    }
}
