//! Cores that the kernel wrote, of processes that died.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use lr_dwarf::{
    Core, CoreMemory, CoreModules, DebugFiles, Kind, Limits, Reached, Reason, Stack, StackEnd,
    Target, Value, variables,
};
use lr_fixtures::{Fixture, copy_program};
use lr_probe::Memory;

use crate::cores::{Kept, check, find, of_function};

/// A folder with a program and its core.
struct Died {
    folder: PathBuf,
    program: PathBuf,
    core: PathBuf,
}

impl Drop for Died {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Died {
    /// Runs `crashes.c`; `None` where this machine's kernel gives cores to a program instead of
    /// writing them beside the process.
    fn of(fixture: &Fixture, arguments: &str, filter: u32) -> Option<Died> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        if pattern.trim_end() != "core" {
            eprintln!("skipped: the kernel's core_pattern is {pattern}");
            return None;
        }
        let (own, nth) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("lr-died-{own}-{nth}"));
        // Of a run that was killed, whose process had the same number.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut died = Died {
            program: folder.join("crashes"),
            core: folder.join("core"),
            folder,
        };
        copy_program(&fixture.build(), &died.program);
        let script = format!(
            "ulimit -c unlimited; echo {filter:#x} > /proc/self/coredump_filter; exec ./crashes {arguments}"
        );
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&died.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!output.status.success(), "{output:?}");
        if !died.core.is_file() {
            let found = std::fs::read_dir(&died.folder).unwrap();
            let mut names = found.map(|entry| entry.unwrap().path());
            let is_core = |path: &PathBuf| path.to_string_lossy().contains("/core.");
            died.core = names.find(is_core).expect("the kernel wrote a core");
        }
        Some(died)
    }

    fn opened(&self) -> (Core, CoreModules) {
        let core = Core::open(&self.core).unwrap();
        let found = CoreModules::open(&core, None, &DebugFiles::host());
        (core, found)
    }

    /// Calls with the stack of the thread that died.
    fn read(&self, frames: usize, work: impl for<'a> FnOnce(&Target<'a>, &Stack<'a>)) {
        let (core, found) = self.opened();
        let memory = CoreMemory::new(&core, &found.modules);
        let target = Target::new(&found.modules, Box::new(memory)).with_missing(&found.missing);
        let stack = Stack::walk(&target, &core.threads()[0].registers, frames);
        work(&target, &stack);
    }

    fn names(&self) -> (Vec<String>, StackEnd) {
        let mut told = (Vec::new(), StackEnd::Limit);
        self.read(64, |_, stack| {
            let names = stack.frames.iter().map(|frame| frame.function.clone());
            told = (names.collect(), stack.end.clone());
        });
        told
    }
}

/// The kernel's own: memory that was written to, and first pages of files.
const USUAL: u32 = 0x33;

fn crashes() -> Fixture {
    Fixture::c("crashes.c")
}

#[test]
fn the_signal_that_killed() {
    let signal_of = |kind: &str| {
        let died = Died::of(&crashes(), kind, USUAL)?;
        let (core, _) = died.opened();
        let others = core.threads().len();
        let (names, _) = died.names();
        assert!(names.contains(&"fail".to_owned()), "{names:?}");
        Some((core.threads()[0].signal.unwrap(), others))
    };
    let Some((null, threads)) = signal_of("null 3") else {
        return;
    };
    // SIGSEGV, SEGV_MAPERR.
    assert_eq!(
        (null.number, null.code, null.address),
        (11, Some(1), Some(16))
    );
    assert_eq!(threads, 4);
    let (abort, _) = signal_of("abort").unwrap();
    // SIGABRT, SI_TKILL: by itself.
    assert_eq!(
        (abort.number, abort.code, abort.address),
        (6, Some(-6), None)
    );
    assert!(abort.sender.is_some());
    let (divide, _) = signal_of("divide").unwrap();
    // SIGFPE, FPE_INTDIV, and the instruction.
    assert_eq!((divide.number, divide.code), (8, Some(1)));
    assert!(divide.address.is_some());
}

#[test]
fn a_call_to_nowhere_is_told_and_marked() {
    let Some(died) = Died::of(&crashes(), "wild", USUAL) else {
        return;
    };
    died.read(64, |target, stack| {
        let names: Vec<&str> = stack.frames.iter().map(|f| f.function.as_str()).collect();
        assert_eq!(names[..3], ["", "fail", "main"]);
        let reached: Vec<Reached> = stack.frames.iter().map(|frame| frame.reached).collect();
        assert_eq!(
            reached[..3],
            [Reached::Unwound, Reached::Guessed, Reached::Unwound]
        );
        assert_eq!(stack.end, StackEnd::Bottom);
        let values = variables(target, stack, &stack.frames[1], &Limits::WHOLE);
        check_values(&values, true);
    });
}

/// A stack that was overwritten ends where it makes no sense any more, and says why.
#[test]
fn overwritten_stacks_end() {
    let end_of = |kind: &str| {
        let died = Died::of(&crashes(), kind, USUAL)?;
        let (names, end) = died.names();
        let smash = names.iter().position(|name| name == "smash").unwrap();
        assert!(names.len() <= smash + 2, "{names:?}");
        match end {
            StackEnd::Broken(why) => Some(why),
            end => panic!("{kind}: {end:?}"),
        }
    };
    let Some(why) = end_of("circle") else {
        return;
    };
    assert_eq!(why, "the frame behind it is not above it");
    assert_eq!(
        end_of("garbage").unwrap(),
        "0x4141414141414141 is in no program or library"
    );
    assert_eq!(
        end_of("data").unwrap(),
        "its file has no unwind table for the address"
    );
}

fn check_values(values: &[Value], all: bool) {
    let pointed = |name: &str| {
        let value = values.iter().find(|value| value.name == name)?;
        let to = value.children.first()?;
        to.value.clone()
    };
    let found = ["at", "other", "name"].map(pointed);
    let right = ["77", "6", "read-only"].map(|text| Some(text.to_owned()));
    for (found, right) in found.iter().zip(&right) {
        assert!(
            found == right || found.is_none() && !all,
            "{found:?} {values:#?}"
        );
    }
}

/// What a core lacks is read from files only where the process cannot have changed it.
#[test]
fn what_is_left_out_is_not_made_up() {
    for filter in [0, 1, 2, 4, 0x10, 0x11, 0x13, USUAL, 0x7f] {
        let Some(died) = Died::of(&crashes(), "null", filter) else {
            return;
        };
        died.read(64, |target, stack| {
            assert_eq!(stack.frames[0].function, "fail", "{filter:#x}");
            let values = variables(target, stack, &stack.frames[0], &Limits::WHOLE);
            // Bit 0: private memory of no file, or that was written to (core(5)).
            let has_stack = filter & 1 != 0;
            check_values(&values, has_stack);
            match has_stack {
                true => assert_eq!(stack.end, StackEnd::Bottom, "{filter:#x}"),
                false => assert!(matches!(stack.end, StackEnd::Broken(_)), "{filter:#x}"),
            }
        });
        let (_, found) = died.opened();
        // Bit 4: the first page of a file, where its build-id is.
        assert_eq!(
            found.unverified.is_empty(),
            filter & 0x14 != 0,
            "{filter:#x}"
        );
    }
}

/// The word of a core at what `nm` says of a symbol.
fn word_of(died: &Died, symbol: &str) -> Option<i64> {
    let output = Command::new("nm").arg(&died.program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text
        .lines()
        .find(|line| line.ends_with(&format!(" {symbol}")));
    let address = u64::from_str_radix(line.unwrap().split(' ').next().unwrap(), 16).unwrap();
    let (core, found) = died.opened();
    let mut word = [0; 8];
    let mut memory = CoreMemory::new(&core, &found.modules);
    memory.read(address, &mut word).ok()?;
    Some(i64::from_le_bytes(word))
}

#[test]
fn what_was_written_to_is_not_read_from_the_file() {
    // Private memory, and private parts of files: 2 and bit 0 decide.
    for (filter, changed, unchanged) in [
        (0, None, None),
        (4, Some(77), Some(6)),
        (0x10, None, None),
        (1, Some(77), Some(6)),
        (USUAL, Some(77), Some(6)),
    ] {
        let Some(died) = Died::of(&crashes().no_pie(), "null", filter) else {
            return;
        };
        assert_eq!(word_of(&died, "changed"), changed, "{filter:#x}");
        assert_eq!(word_of(&died, "unchanged"), unchanged, "{filter:#x}");
        // Nothing writes to these.
        assert!(word_of(&died, "main").is_some());
    }
}

/// What was cut off is not what the file of the program has there.
#[test]
fn a_core_that_was_cut_short() {
    let Some(died) = Died::of(&crashes().no_pie(), "null", USUAL) else {
        return;
    };
    assert_eq!(died.opened().0.lost(), 0);
    let mut bytes = std::fs::read(&died.core).unwrap();
    // Of all but the last piece of memory, the stack, the core has nothing.
    let len = bytes.len() as u64;
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
    let table = usize::try_from(word(&bytes, 32)).unwrap();
    let mut lost = 0;
    for at in (0..count).map(|index| table + 56 * index) {
        let (is_load, addr, size) = (bytes[at] == 1, word(&bytes, at + 16), word(&bytes, at + 32));
        if is_load && addr < 0x1_0000_0000 {
            bytes[at + 8..at + 16].copy_from_slice(&len.to_le_bytes());
            lost += size;
        }
    }
    std::fs::write(&died.core, &bytes).unwrap();
    assert_eq!(died.opened().0.lost(), lost);
    assert_eq!(word_of(&died, "changed"), None);
    assert!(word_of(&died, "main").is_some());
    died.read(64, |target, stack| {
        assert_eq!(stack.end, StackEnd::Bottom);
        let values = variables(target, stack, &stack.frames[0], &Limits::WHOLE);
        check_values(&values, false);
    });
    // Anywhere.
    for step in 1..20 {
        let len = bytes.len() * step / 20;
        std::fs::write(&died.core, &bytes[..len]).unwrap();
        if Core::open(&died.core).is_ok() {
            died.read(64, |target, stack| {
                let values = variables(target, stack, &stack.frames[0], &Limits::WHOLE);
                check_values(&values, false);
            });
        }
    }
}

/// gdb writes threads behind all memory: a core that was cut has none, and says why.
#[test]
fn a_core_that_was_cut_before_its_threads() {
    let kept = Kept::at(&crashes().build(), "main", 1);
    let bytes = std::fs::read(kept.path()).unwrap();
    for (len, words) in [
        (bytes.len() / 2, "was cut short before its threads"),
        (100, "or it was cut short"),
    ] {
        std::fs::write(kept.path(), &bytes[..len]).unwrap();
        let error = Core::open(&kept.path()).expect_err("it has no thread");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_thousand_threads() {
    let Some(died) = Died::of(&crashes().opt('2'), "null 1000", USUAL) else {
        return;
    };
    let (core, found) = died.opened();
    let memory = CoreMemory::new(&core, &found.modules);
    let target = Target::new(&found.modules, Box::new(memory));
    assert_eq!(core.threads().len(), 1001);
    for thread in &core.threads()[1..] {
        let stack = Stack::walk(&target, &thread.registers, 20);
        let names: Vec<&str> = stack.frames.iter().map(|f| f.function.as_str()).collect();
        assert_eq!(stack.end, StackEnd::Bottom, "{names:?}");
        assert!(names.contains(&"wait_for_it"), "{names:?}");
    }
}

#[test]
fn deep_recursion() {
    let Some(died) = Died::of(&crashes().opt('1'), "deep 100000", USUAL) else {
        return;
    };
    died.read(20, |_, stack| {
        assert_eq!((stack.frames.len(), &stack.end), (20, &StackEnd::Limit));
    });
    died.read(200_000, |target, stack| {
        assert_eq!(stack.end, StackEnd::Bottom);
        let deep: Vec<_> = stack
            .frames
            .iter()
            .filter(|f| f.function == "deep")
            .collect();
        assert_eq!(deep.len(), 100_001);
        // Its own is in the frame.
        for depth in [1, 77_777, 100_000] {
            let values = variables(target, stack, deep[depth], &Limits::WHOLE);
            let own = values.iter().find(|value| value.name == "own").unwrap();
            assert_eq!(own.kind, Kind::Int);
            assert_eq!(own.value, Some(depth.to_string()));
        }
    });
}

/// A file that is another by now, or is no more, is not read, and named.
#[test]
fn files_that_are_others() {
    let Some(died) = Died::of(&crashes(), "null", USUAL) else {
        return;
    };
    let missing = |why: &str| {
        let (core, found) = died.opened();
        let [missing] = found.missing.as_slice() else {
            panic!("{:?}", found.missing);
        };
        assert_eq!(missing.path, died.program);
        assert!(missing.why.contains(why), "{}", missing.why);
        // The program can be named.
        let moved = died.folder.join("moved");
        let found = CoreModules::open(&core, Some(&moved), &DebugFiles::host());
        assert_eq!(found.missing, []);
        let (names, end) = died.names();
        assert_eq!(names, [""]);
        let path = died.program.display().to_string();
        assert!(matches!(end, StackEnd::Broken(why) if why.contains(&path)));
    };
    std::fs::rename(&died.program, died.folder.join("moved")).unwrap();
    missing("No such file");
    copy_program(&crashes().opt('2').build(), &died.program);
    missing("build-id");
}

/// Where nothing names the build, the first page of the file tells.
#[test]
fn files_without_a_build_id_that_are_others() {
    let without = |level| crashes().opt(level).flag("-Wl,--build-id=none");
    let Some(died) = Died::of(&without('0'), "null", USUAL) else {
        return;
    };
    let (core, found) = died.opened();
    assert_eq!(found.missing, []);
    // Stripped, it is the same program.
    let stripped = died.folder.join("stripped");
    copy_program(&died.program, &stripped);
    let strip = Command::new("strip").arg(&stripped).status().unwrap();
    assert!(strip.success());
    let found = CoreModules::open(&core, Some(&stripped), &DebugFiles::host());
    assert_eq!(found.missing, []);
    for other in [without('2'), crashes()] {
        std::fs::remove_file(&died.program).unwrap();
        copy_program(&other.build(), &died.program);
        let (_, found) = died.opened();
        let [missing] = found.missing.as_slice() else {
            panic!("{:?}", found.missing);
        };
        assert!(missing.why.contains("other bytes"), "{}", missing.why);
        assert_eq!(died.names().0, [""]);
    }
}

/// The offsets of the types of a core's notes, with the types.
fn note_types(core: &[u8]) -> Vec<(usize, u32)> {
    let half = |at: usize| u32::from_le_bytes(core[at..at + 4].try_into().unwrap());
    let word = |at: usize| {
        let word = u64::from_le_bytes(core[at..at + 8].try_into().unwrap());
        usize::try_from(word).unwrap()
    };
    let count = usize::from(u16::from_le_bytes([core[56], core[57]]));
    let mut types = Vec::new();
    for header in (0..count).map(|index| word(32) + 56 * index) {
        // PT_NOTE
        if half(header) != 4 {
            continue;
        }
        let (mut at, len) = (word(header + 8), word(header + 32));
        let end = at + len;
        while at < end {
            types.push((at + 8, half(at + 8)));
            let sizes = [half(at), half(at + 4)];
            let sizes = sizes.map(|size| usize::try_from(size).unwrap().next_multiple_of(4));
            at += 12 + sizes[0] + sizes[1];
        }
    }
    types
}

const NT_PRSTATUS: u32 = 1;
const NT_FILE: u32 = 0x4649_4c45;

/// What follows the registers of a thread that are not there is not taken for another thread's.
#[test]
fn a_thread_without_registers_costs_itself() {
    let Some(died) = Died::of(&crashes(), "null 3", USUAL) else {
        return;
    };
    let whole = died.opened().0.threads().to_vec();
    let bytes = std::fs::read(&died.core).unwrap();
    let types = note_types(&bytes);
    let statuses: Vec<usize> = types
        .iter()
        .filter(|(_, kind)| *kind == NT_PRSTATUS)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(statuses.len(), whole.len());
    for (index, &at) in statuses.iter().enumerate().skip(1) {
        let mut bytes = bytes.clone();
        bytes[at] = 0x77;
        // The vectors of the lost one are others: those of its neighbour's stay what they are.
        std::fs::write(&died.core, &bytes).unwrap();
        let (core, _) = died.opened();
        let mut expected = whole.clone();
        expected.remove(index);
        assert_eq!(core.threads(), expected);
    }
}

/// The program is where its entry is; what else was mapped, nobody knows.
#[test]
fn a_core_that_lists_no_files() {
    let Some(died) = Died::of(&crashes(), "null", USUAL) else {
        return;
    };
    let paths = |found: &CoreModules| -> Vec<String> {
        let paths = found.modules.iter();
        paths
            .map(|module| module.path.display().to_string())
            .collect()
    };
    let mut bytes = std::fs::read(&died.core).unwrap();
    let types = note_types(&bytes);
    let (at, _) = types.iter().find(|(_, kind)| *kind == NT_FILE).unwrap();
    bytes[*at] = 0x77;
    std::fs::write(&died.core, &bytes).unwrap();
    let (core, found) = died.opened();
    assert!(
        found.missing[0].why.contains("NT_FILE"),
        "{:?}",
        found.missing
    );
    let found = CoreModules::open(&core, Some(&died.program), &DebugFiles::host());
    assert!(
        found.missing[0].why.contains("NT_FILE"),
        "{:?}",
        found.missing
    );
    assert_eq!(found.unverified, [] as [&Path; 0]);
    let program = died.program.display().to_string();
    assert_eq!(paths(&found), [&program, "[vdso]"]);
    let memory = CoreMemory::new(&core, &found.modules);
    let target = Target::new(&found.modules, Box::new(memory)).with_missing(&found.missing);
    let stack = Stack::walk(&target, &core.threads()[0].registers, 64);
    let names: Vec<&str> = stack.frames.iter().map(|f| f.function.as_str()).collect();
    assert_eq!(names[..2], ["fail", "main"]);
    let values = variables(&target, &stack, &stack.frames[0], &Limits::WHOLE);
    check_values(&values, true);
    // Another build is refused.
    let other = died.folder.join("other");
    copy_program(&crashes().opt('2').build(), &other);
    let found = CoreModules::open(&core, Some(&other), &DebugFiles::host());
    assert_eq!(paths(&found), ["[vdso]"]);
}

#[test]
fn of_static_programs() {
    for fixture in [
        crashes().linked_statically(),
        crashes().linked_statically().no_pie(),
    ] {
        let Some(died) = Died::of(&fixture, "null", USUAL) else {
            return;
        };
        let (names, end) = died.names();
        assert_eq!(names[..2], ["fail", "main"]);
        assert_eq!(end, StackEnd::Bottom);
    }
}

#[test]
fn what_is_in_it_is_found_by_whoever_reads_the_file_alone() {
    let Some(died) = Died::of(&crashes().stripped(), "wild", USUAL) else {
        return;
    };
    // Unwind tables are there when symbols are not.
    let (names, end) = died.names();
    assert_eq!(end, StackEnd::Bottom, "{names:?}");
    assert!(names.len() > 4, "{names:?}");
    assert!(Path::new(&died.program).is_file());
}

#[test]
fn vectors_of_64_bytes() {
    if !std::arch::is_x86_feature_detected!("avx512bw") {
        return;
    }
    let fixture = Fixture::c("vectors.c").opt('2');
    if let Some(died) = Died::of(&fixture, "fail", USUAL) {
        died.read(8, |target, stack| {
            let values = of_function(target, stack, "fail");
            for (path, expected) in [
                ("low.0", "1"),
                ("low.2", "300"),
                ("low.4", "-5"),
                ("low.7", "8"),
                ("high.1", "-40"),
                ("high.3", "-8000"),
                ("high.6", "-14"),
                ("mask", "9223372036854775813"),
                ("zero.0", "0"),
                ("zero.7", "0"),
            ] {
                check(&values, path, expected);
            }
        });
    }
    // gdb 13 takes the states from where Intel's processors have them, on others too.
    let kept = Kept::made(&fixture.build(), &["fail"], &[]);
    kept.read(|target, stack| {
        let values = of_function(target, stack, "fail");
        check(&values, "low.3", "-4000");
        for (path, expected) in [("low.4", "-5"), ("high.1", "-40"), ("high.6", "-14")] {
            let value = find(&values, path);
            match &value.absent {
                Some(absent) => assert_eq!(absent.reason, Reason::Unsupported, "{value:?}"),
                None => assert_eq!(value.value.as_deref(), Some(expected), "{value:?}"),
            }
        }
    });
}
