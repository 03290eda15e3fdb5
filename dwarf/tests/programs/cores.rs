//! Values and stacks in cores that gdb wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use lr_dwarf::{
    Core, CoreMemory, CoreModules, DebugFiles, FrameKind, Kind, Limits, Reason, Stack, StackEnd,
    Target, Value, variables,
};
use lr_fixtures::Fixture;

/// A folder that goes away with its core.
pub(crate) struct Kept(pub(crate) PathBuf);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Kept {
    /// The core of a program at the `passes`th time that it is in a function.
    pub(crate) fn at(program: &Path, place: &str, passes: usize) -> Kept {
        let at = format!("break {place}");
        let before = format!("ignore 1 {}", passes - 1);
        let commands = ["set breakpoint pending on", &at, &before];
        Kept::made(program, &[], &commands)
    }

    /// The core of a program where gdb stops it.
    pub(crate) fn made(program: &Path, arguments: &[&str], commands: &[&str]) -> Kept {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let (own, nth) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("lr-core-{own}-{nth}"));
        // Of a run that was killed, whose process had the same number.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let kept = Kept(folder);
        let output = Command::new("gdb")
            .args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off"])
            .args(["-ex", "handle SIGUSR1 nostop noprint pass"])
            .args(commands.iter().flat_map(|command| ["-ex", command]))
            .args(["-ex", "run"])
            .args([
                "-ex",
                &format!("generate-core-file {}", kept.path().display()),
            ])
            .args(["-ex", "kill"])
            .arg("--args")
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(kept.path().is_file(), "{words}");
        kept
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.join("core")
    }

    /// Calls with the stack of the first thread.
    pub(crate) fn read(&self, work: impl for<'a> FnOnce(&Target<'a>, &Stack<'a>)) {
        let core = Core::open(&self.path()).unwrap();
        let found = CoreModules::open(&core, None, &DebugFiles::host());
        let memory = CoreMemory::new(&core, &found.modules);
        let target = Target::new(&found.modules, Box::new(memory));
        let stack = Stack::walk(&target, &core.threads()[0].registers, 64);
        work(&target, &stack);
    }
}

pub(crate) fn of_function<'a>(
    target: &Target<'a>,
    stack: &Stack<'a>,
    function: &str,
) -> Vec<Value> {
    let frame = stack.frames.iter().find(|frame| frame.function == function);
    let frame = frame.unwrap_or_else(|| panic!("no {function} in {:?}", stack.frames));
    variables(target, stack, frame, &Limits::WHOLE)
}

#[track_caller]
pub(crate) fn find<'v>(values: &'v [Value], path: &str) -> &'v Value {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let value = values.iter().find(|value| value.name == first);
    let value = value.unwrap_or_else(|| panic!("no {path} in {values:#?}"));
    match rest {
        Some(rest) => find(&value.children, rest),
        None => value,
    }
}

#[track_caller]
pub(crate) fn check(values: &[Value], path: &str, expected: &str) {
    let value = find(values, path);
    assert_eq!(value.value.as_deref(), Some(expected), "{value:?}");
}

#[test]
fn values_of_all_kinds() {
    let kept = Kept::at(&Fixture::c("frames.c").build(), "at_rest", 1);
    kept.read(|target, stack| {
        let values = of_function(target, stack, "kinds");
        let check = |path: &str, expected: &str| check(&values, path, expected);
        check("bits.low", "5");
        check("bits.middle", "-3");
        check("bits.high", "549755813888");
        check("both.whole", "16909060");
        check("both.parts.3", "1");
        check("wide", "0.1");
        check("huge", "-1267650600228229401496703205376");
        check("number", "1.5-2i");
        check("lanes.1", "-2");
        check("nothing", "0x0");
        check("counted", "82");
        check("grid.1.2", "6");
        let function = find(&values, "function");
        assert_eq!(function.kind, Kind::Function);
        assert!(
            function.value.as_ref().unwrap().ends_with(" <kinds>"),
            "{function:?}"
        );
        // Its room in the frame has what was there before.
        let later = find(&values, "later").absent.as_ref().unwrap();
        assert_eq!(later.reason, Reason::NotLive);
    });
}

/// Optimised, each of them is where the compiler put it, or nowhere.
#[test]
fn values_of_all_kinds_optimised() {
    let program = Fixture::c("frames.c").opt('2').build();
    let kept = Kept::at(&program, "at_rest", 1);
    kept.read(|target, stack| {
        let values = of_function(target, stack, "kinds");
        let check = |path: &str, expected: &str| check(&values, path, expected);
        // The first two have no place at all: debug info has their bytes, or how to compute them.
        check("wide", "0.1");
        check("number", "1.5-2i");
        check("huge", "-1267650600228229401496703205376");
        check("nothing", "0x0");
        check("counted", "82");
        for name in ["bits", "later"] {
            let absent = find(&values, name).absent.as_ref().unwrap();
            assert_eq!(absent.reason, Reason::OptimizedOut);
            assert!(absent.detail.starts_with("live at lines"), "{absent:?}");
        }
    });
}

/// In the callee's caller, at each of the calls in their order: what is declared where the call is.
#[test]
fn variables_on_the_line_that_declares_them() {
    let program = Fixture::c("declared.c").build();
    // `next(n)`, then the condition that is true, after the step that it is false.
    let calls = [
        (1, "i", None),
        (2, "i", Some("4")),
        (3, "i", Some("5")),
        (5, "j", Some("4")),
        (6, "k", Some("0")),
        (8, "k", Some("1")),
        // Lines that follow the declaration's, in its initialiser.
        (11, "whole", None),
        (12, "whole", None),
        (13, "chosen", None),
    ];
    for (passes, name, expected) in calls {
        let kept = Kept::at(&program, "next", passes);
        kept.read(|target, stack| {
            let values = of_function(target, stack, "run");
            let value = find(&values, name);
            println!("call {passes}: {value:?}");
            assert_eq!(value.value.as_deref(), expected, "call {passes}: {value:?}");
            let reason = value.absent.as_ref().map(|absent| absent.reason);
            let wanted = expected.is_none().then_some(Reason::NotLive);
            assert_eq!(reason, wanted, "call {passes}");
        });
    }
}

/// Where the function has stored nothing yet, its parameters are not what is in their places.
#[test]
fn parameters_before_they_are_stored() {
    let kept = Kept::at(&Fixture::c("frames.c").build(), "*passed", 1);
    kept.read(|target, stack| {
        let values = of_function(target, stack, "passed");
        let first = find(&values, "first").absent.as_ref().unwrap();
        assert_eq!(first.reason, Reason::NotLive);
        check(
            &of_function(target, stack, "main"),
            "both.whole",
            "16909060",
        );
    });
}

#[test]
fn thread_local_variables_of_the_program() {
    for level in ['0', '2'] {
        let program = Fixture::c("frames.c").opt(level).build();
        let kept = Kept::at(&program, "at_work", 2);
        kept.read(|target, stack| {
            let values = of_function(target, stack, "thread_local_one");
            check(&values, "mine", "31");
        });
    }
}

#[test]
fn a_stack_with_a_signal_and_recursion_in_it() {
    for level in ['0', '2'] {
        let program = Fixture::c("frames.c").opt(level).build();
        // The second call is the handler's.
        let kept = Kept::at(&program, "at_rest", 2);
        kept.read(|target, stack| {
            assert_eq!(stack.end, StackEnd::Bottom, "{:#?}", stack.frames);
            let names: Vec<&str> = stack
                .frames
                .iter()
                .map(|frame| frame.function.as_str())
                .filter(|name| ["at_rest", "handler", "down", "main"].contains(name))
                .collect();
            let expected = [
                "at_rest", "handler", "down", "down", "down", "down", "down", "down",
            ];
            assert_eq!(names[..8], expected);
            assert_eq!(names[8..], ["main"]);
            let signals = stack
                .frames
                .iter()
                .filter(|frame| frame.kind == FrameKind::Signal);
            assert_eq!(signals.count(), 1);
            let depths = stack.frames.iter().filter(|frame| frame.function == "down");
            for (depth, frame) in depths.enumerate() {
                let values = variables(target, stack, frame, &Limits::WHOLE);
                // The innermost does not need it any more.
                if level == '0' || depth > 0 {
                    check(&values, "depth", &depth.to_string());
                }
                if level == '0' {
                    check(&values, "kept", &(1 + 3 * (5 - depth)).to_string());
                }
            }
            // Optimised, it stays in a register that `at_rest` is known to leave alone.
            let handler = of_function(target, stack, "handler");
            check(&handler, "number", "10");
        });
    }
}

#[test]
fn what_a_caller_passed() {
    let program = Fixture::c("frames.c").opt('2').build();
    let kept = Kept::at(&program, "at_work", 1);
    kept.read(|target, stack| {
        let values = of_function(target, stack, "passed");
        // `passed` keeps neither: its caller's call tells them.
        check(&values, "first", "4242");
        check(&values, "second.*", "second");
    });
}

#[test]
fn values_of_rust() {
    let program = Fixture::rust("values.rs").build();
    let kept = Kept::at(&program, &lr_fixtures::location("values.rs", "show"), 1);
    kept.read(|target, stack| {
        let frame = &stack.frames[0];
        let values = variables(target, stack, frame, &Limits::WHOLE);
        check(&values, "text", "argument");
        check(&values, "numbers.2", "-6");
        check(&values, "outer.owned", "ownéd");
        check(&values, "outer.letter", "ß");
        let maybe = find(&values, "outer.maybe");
        assert_eq!(
            (maybe.kind, maybe.value.as_deref()),
            (Kind::Optional, Some("Some"))
        );
        let raw = Limits {
            raw: true,
            ..Limits::WHOLE
        };
        let values = variables(target, stack, frame, &raw);
        check(&values, "text.length", "8");
    });
}

/// Whatever is damaged costs what it is part of, and neither a panic nor a hang.
#[test]
fn a_damaged_core() {
    let kept = Kept::at(&Fixture::c("frames.c").build(), "at_rest", 1);
    let whole = std::fs::read(kept.path()).unwrap();
    let mut random = 1u64;
    for round in 0..60 {
        let mut bytes = whole.clone();
        // Headers and notes, then the stack: anything may be there.
        for _ in 0..40 {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let most = if round % 2 == 0 {
                16 << 10
            } else {
                bytes.len()
            };
            let at = usize::try_from(random >> 33).unwrap() % most.min(bytes.len());
            bytes[at] = random.to_le_bytes()[3];
        }
        if round % 5 == 0 {
            bytes.truncate(bytes.len() * round / 60);
        }
        std::fs::write(kept.path(), &bytes).unwrap();
        let Ok(core) = Core::open(&kept.path()) else {
            continue;
        };
        let found = CoreModules::open(&core, None, &DebugFiles::none());
        let memory = CoreMemory::new(&core, &found.modules);
        let target = Target::new(&found.modules, Box::new(memory));
        for thread in core.threads() {
            target.limit(1 << 20);
            let stack = Stack::walk(&target, &thread.registers, 64);
            for frame in &stack.frames {
                target.limit(1 << 20);
                variables(&target, &stack, frame, &Limits::WHOLE);
            }
        }
    }
}

#[test]
fn what_is_no_core() {
    for name in ["/dev/null", "/proc/self/exe", "/"] {
        assert!(Core::open(Path::new(name)).is_err(), "{name}");
    }
}
